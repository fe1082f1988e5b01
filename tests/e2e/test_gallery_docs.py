"""Everything that docs/gallery.md shows is run as it stands there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.triptych_process import PROJECT, Addresses

pytestmark = pytest.mark.triton
PAGE = (PROJECT / "docs" / "gallery.md").read_text(encoding="utf-8")


def blocks(language: str, rest: str) -> list[str]:
    return [block.replace("127.0.0.1:8080", rest) for block in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)]


def run(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=120).stdout


def test_the_commands_find_the_picture_they_make(triptych: Addresses, tmp_path: Path) -> None:
    commands = [line for block in blocks("sh", triptych.rest) for line in re.split(r"(?<!\\)\n", block) if line]
    made, *pages = [json.loads(run(["sh", "-c", command], tmp_path)) for command in commands]
    assert len(pages) == 3
    assert [[image["id"] for image in page["images"]] for page in pages] == [[made["image_id"]]] * 3


def test_the_script_runs(triptych: Addresses, tmp_path: Path) -> None:
    (script,) = blocks("python", triptych.rest)
    printed = run([sys.executable, "-c", script], tmp_path)
    assert re.fullmatch(r"\[\('[0-9a-f-]{36}', [01]\.\d+\)\]\n", printed)  # the other star, and how like it is
