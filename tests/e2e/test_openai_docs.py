"""Every snippet that docs/openai.md shows, in the order in which it stands there, as one program."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.triptych_process import PROJECT, Addresses

pytestmark = pytest.mark.triton
PAGE = (PROJECT / "docs" / "openai.md").read_text(encoding="utf-8")


def test_every_snippet_of_the_page_runs(triptych: Addresses, tmp_path: Path) -> None:
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    program = "\n".join(snippets).replace("127.0.0.1:8080", triptych.rest)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    models, *events, words, vectors = done.stdout.splitlines()
    assert (len(snippets), models) == (7, "['demo', 'clip']")
    assert events == [
        "image_generation.partial_image 128x128",
        "image_generation.partial_image 128x128",
        "image_generation.completed 128x128",
    ]
    assert words.count("'") == 4  # two pictures, each with its words
    assert vectors.split()[0].isdigit()
    for name in ("circle.png", "star.png", "hole.png", "edited.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (128, 128)
