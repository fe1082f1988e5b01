"""Every command that docs/rest-api.md shows, in the order in which it stands there."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.triptych_process import PROJECT, Addresses

pytestmark = pytest.mark.triton
PAGE = (PROJECT / "docs" / "rest-api.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [command for block in blocks for command in re.split(r"(?<!\\)\n", block) if command]


def test_every_command_of_the_page_answers(triptych: Addresses, tmp_path: Path) -> None:
    Image.new("RGB", (128, 128), "red").save(tmp_path / "picture.png")
    answers = [run(command.replace("127.0.0.1:8080", triptych.rest), tmp_path) for command in commands()]
    assert len(answers) == 8
    assert [answer[:40] for answer in answers if '"code"' in answer] == []
    streamed = [answer for answer in answers if answer.startswith("event: progress")]
    assert [answer.count("event: completed") for answer in streamed] == [1]
    assert all(json.loads(answer) for answer in answers if answer not in streamed)


def run(command: str, folder: Path) -> str:
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout
