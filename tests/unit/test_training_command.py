import argparse
from pathlib import Path

import pytest

from training import family
from training.family import Order, Part
from training.loop import Run
from training.measurement import Measured, share
from triptych.commands import train


def a_part(successes: int) -> Part:
    """The CLIP's part, with no network behind it."""

    def make(order: Order) -> Run:
        order.weights_folder.mkdir(parents=True)
        return Run(order.run_folder, steps=7, done=7, seconds=120.0)

    def measure(folder: Path) -> list[Measured]:
        return [share("clip.retrieval", successes, 200)]

    return Part("clip", "CLIP (CLIPModel)", "seven steps", make, measure)


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return train.run(parser.parse_args(["demo", *words]))


@pytest.mark.parametrize(("successes", "status"), [(170, 0), (169, 1)])
def test_check_fails_where_a_bar_is_missed(monkeypatch: pytest.MonkeyPatch, successes: int, status: int) -> None:
    monkeypatch.setitem(family.PARTS, "clip", lambda: a_part(successes))
    assert run("clip", "--check") == status


def test_training_leaves_a_card_that_says_how_and_how_good(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(family.PARTS, "clip", lambda: a_part(199))
    run("clip", "--to", str(tmp_path), "--seed", "3")
    card = (tmp_path / "clip" / "README.md").read_text()
    assert "`triptych train demo clip --no-resume`" in card
    assert "**Recipe**: seven steps." in card
    assert "**Seed** 3; 7 steps, 2 minutes" in card
    assert "| 99.5 % | 97.2 % to 99.9 % | 85.0 % | met |" in card


def test_check_of_all_parts_leaves_out_those_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--check", "--to", str(tmp_path)) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2  # the table's head


def test_command_offers_every_part_of_the_family() -> None:
    assert list(family.PARTS) == list(train._PARTS)
