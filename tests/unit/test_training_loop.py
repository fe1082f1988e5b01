from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.loop import train
from training.optimizer import rate_share


class Doubling:
    """Learn y = 2 x; stops the run by an error where it is told to, as a kill would."""

    name = "doubling"
    learning_rate = matrix_rate = 0.3

    def __init__(self, killed_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.network = nn.Linear(1, 1)
        self.killed_at = killed_at
        self.seen: list[int] = []

    def batch(self, step: int) -> Tensor:
        if step == self.killed_at:
            raise KeyboardInterrupt
        self.seen.append(step)
        return torch.rand(8, 1, generator=torch.Generator().manual_seed(step))

    def loss(self, batch: Tensor) -> tuple[Tensor, dict[str, float]]:
        error = (self.network(batch) - 2 * batch).float().square().mean()
        return error, {"error": error.item()}


def test_loop_learns(tmp_path: Path) -> None:
    task = Doubling()
    run = train(task, tmp_path, steps=200)
    assert run.done == 200
    assert task.network.weight.item() == pytest.approx(2, abs=0.1)


def test_killed_run_goes_on_after_its_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.loop._CHECKPOINT_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(Doubling(killed_at=12), tmp_path, steps=20)
    resumed = Doubling()
    train(resumed, tmp_path, steps=20)
    assert resumed.seen == list(range(12, 20))


def test_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Doubling()
    train(whole, tmp_path / "whole", steps=20)
    monkeypatch.setattr("training.loop._CHECKPOINT_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(Doubling(killed_at=12), tmp_path / "parts", steps=20)
    resumed = Doubling()
    train(resumed, tmp_path / "parts", steps=20)
    assert resumed.network.weight.item() == whole.network.weight.item()


def test_no_resume_begins_again(tmp_path: Path) -> None:
    train(Doubling(), tmp_path, steps=5)
    again = Doubling()
    train(again, tmp_path, steps=5, resume=False)
    assert again.seen == list(range(5))


def test_curve_is_written_as_csv_and_png(tmp_path: Path) -> None:
    train(Doubling(), tmp_path, steps=50)
    header, *points = (tmp_path / "curve.csv").read_text().splitlines()
    assert header == "step,seconds,loss,error"
    assert [point.split(",")[0] for point in points] == ["25", "50"]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_learning_rate_rises_stays_and_falls_to_nearly_zero() -> None:
    shares = [rate_share(step, 1000) for step in range(1000)]
    assert shares[0] == 0.01
    assert set(shares[100:700]) == {1.0}
    assert shares[-1] == pytest.approx(1 / 300)
