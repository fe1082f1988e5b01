"""A log that is cut while its writer holds it open."""

from pathlib import Path

from embedded import log_file


def test_a_log_within_its_limit_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    log.write_bytes(b"12345")
    log_file.trim(log, limit_bytes=5)
    assert [path.name for path in tmp_path.iterdir()] == ["triton.log"]


def test_the_end_is_kept_and_the_writer_goes_on_at_the_new_start(tmp_path: Path) -> None:
    log = tmp_path / "triton.log"
    with log.open("ab", buffering=0) as writing:
        writing.write(b"old and long, newer")
        log_file.trim(log, limit_bytes=5)
        writing.write(b"next")
    assert log.read_bytes() == b"next"
    assert (tmp_path / "triton.log.1").read_bytes() == b"newer"


def test_no_log_is_no_trouble(tmp_path: Path) -> None:
    log_file.trim(tmp_path / "triton.log")
    assert list(tmp_path.iterdir()) == []
