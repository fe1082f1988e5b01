"""Everything that docs/rest-api.md shows is run as it stands there."""

import re
from pathlib import Path

import pytest

from tests.pages import Page, documents
from tests.triptych_process import Addresses

pytestmark = pytest.mark.triton
PAGE = Page("rest-api.md")


def test_every_command_of_the_page_answers(triptych: Addresses, tmp_path: Path) -> None:
    painted, streamed, varied, looked, listed, embedded = PAGE.run_shell(triptych, tmp_path)
    assert (streamed[:15], streamed.count("event: completed")) == ("event: progress", 1)
    answers = [documents(printed) for printed in (painted, varied, looked, listed, embedded)]
    assert [len(each) for each in answers] == [1, 1, 5, 1, 1]
    assert [answer for each in answers for answer in each if "code" in answer] == []


def test_the_snippets_are_one_program_that_runs(triptych: Addresses, tmp_path: Path) -> None:
    printed = PAGE.run_python(triptych, tmp_path)
    assert re.search(r"^painted: [0-9a-f-]{36} red circle$", printed, re.MULTILINE)
    assert printed.count("event: completed") == 1
    assert "varied: True 1\n" in printed
    assert re.search(r"^seen: \d+\.\d\d% \d+$", printed, re.MULTILINE)
    assert printed.endswith("embedded: 2\n")
