"""Every command that docs/jobs.md shows, in the order in which it stands there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.triptych_process import PROJECT, Addresses

pytestmark = pytest.mark.triton
PAGE = (PROJECT / "docs" / "jobs.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


@pytest.fixture(scope="module")
def outputs(triptych: Addresses, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of the shell's blocks, in one folder, since some read what others wrote."""
    folder = tmp_path_factory.mktemp("docs")
    return [run(["sh", "-euc", block.replace("127.0.0.1:8080", triptych.rest)], folder) for block in blocks("sh")]


def test_no_command_is_answered_with_an_error(outputs: list[str]) -> None:
    assert len(outputs) == 4
    assert [output for output in outputs if '"code":' in output] == []


def test_a_job_is_followed_to_its_picture(outputs: list[str]) -> None:
    submitted, *_, listed = outputs[0].split("\n\n")
    assert json.loads(submitted.partition("id: ")[0])["state"] in ("queued", "running")
    assert outputs[0].count("event: completed") == 1
    assert '"image_id":"' in listed


def test_a_preference_is_applied(outputs: list[str]) -> None:
    assert outputs[1].startswith("HTTP/1.1 202")
    assert "preference-applied: respond-async" in outputs[1].lower()


def test_the_second_of_two_equal_requests_gets_the_same_job(outputs: list[str]) -> None:
    ids = re.findall(r'"events_url":"([^"]+)"', outputs[2])
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_a_story_has_a_job(outputs: list[str]) -> None:
    assert outputs[3].count('"status":"') == 2


def test_the_python_program_prints_a_picture(triptych: Addresses, tmp_path: Path) -> None:
    (program,) = blocks("python")
    printed = run([sys.executable, "-c", program.replace("127.0.0.1:8080", triptych.rest)], tmp_path)
    assert re.search(r"^completed \d+ \d{3,}$", printed, re.MULTILINE)
