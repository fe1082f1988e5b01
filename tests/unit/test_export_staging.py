"""A version is put in place whole, or not at all."""

import fcntl
import os
from pathlib import Path

import pytest

from export.staging import only_exporter, recover, staged


@pytest.fixture
def version(tmp_path: Path) -> Path:
    folder = tmp_path / "model" / "1"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text("shim")
    (folder / "old.json").write_text("old")
    return folder


def everything(version: Path) -> list[str]:
    return sorted(str(path.relative_to(version.parent)) for path in version.parent.rglob("*") if path.is_file())


def fail_half_way(version: Path) -> None:
    with staged(version) as aside:
        (aside / "new.json").write_text("half")
        raise KeyboardInterrupt


def test_a_new_version_takes_the_place_of_the_old_and_keeps_the_shim(version: Path) -> None:
    with staged(version) as aside:
        (aside / "new.json").write_text("new")
    assert everything(version) == ["1/model.py", "1/new.json"]


def test_a_first_version_is_put_in_place(tmp_path: Path) -> None:
    with staged(tmp_path / "model" / "1") as aside:
        (aside / "model.onnx").write_bytes(b"graph")
    assert (tmp_path / "model" / "1" / "model.onnx").read_bytes() == b"graph"


def test_a_failure_leaves_the_old_version_and_nothing_else(version: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fail_half_way(version)
    assert everything(version) == ["1/model.py", "1/old.json"]


def test_what_is_made_is_not_seen_as_a_version(version: Path) -> None:
    with staged(version) as aside:
        assert aside.parent == version.parent
        assert aside.name.startswith(".")  # Triton reads a leading number as a version, whatever follows


def test_a_run_killed_before_the_swap_is_cleared_away(version: Path) -> None:
    (version.parent / ".export-1").mkdir()
    recover(version)
    assert everything(version) == ["1/model.py", "1/old.json"]
    assert len(list(version.parent.iterdir())) == 1


def test_a_run_killed_inside_the_swap_gets_the_old_version_back(version: Path) -> None:
    version.rename(version.with_name(".replaced-1"))
    recover(version)
    assert everything(version) == ["1/model.py", "1/old.json"]


def test_only_one_exporter_writes_into_a_repository(tmp_path: Path) -> None:
    with only_exporter(tmp_path):
        other = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
