"""Every command that docs/jobs.md shows, in the order in which it stands there."""

import json
import re
from pathlib import Path

import pytest

from tests.pages import Page
from tests.triptych_process import Addresses

pytestmark = pytest.mark.triton
PAGE = Page("jobs.md")


@pytest.fixture(scope="module")
def outputs(triptych: Addresses, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return PAGE.run_shell(triptych, tmp_path_factory.mktemp("docs"))


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
    printed = PAGE.run_python(triptych, tmp_path)
    assert re.search(r"^completed \d+ \d{3,}$", printed, re.MULTILINE)
