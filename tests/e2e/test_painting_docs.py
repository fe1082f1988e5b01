"""Everything that docs/painting.md shows is run as it stands there."""

from pathlib import Path

import pytest

from tests.pages import Page, documents, size_of
from tests.triptych_process import Addresses

pytestmark = pytest.mark.triton
PAGE = Page("painting.md")


def test_the_commands_paint_what_they_say(triptych: Addresses, tmp_path: Path) -> None:
    _, painted, cancelled = PAGE.run_shell(triptych, tmp_path)
    sizes = {path.name: size_of(path) for path in sorted(tmp_path.iterdir())}
    square = dict.fromkeys(
        ["again.png", "four-1.webp", "four-2.webp", "four-3.webp", "four-4.webp", "out.png"], (128, 128)
    )
    assert sizes == square | {"wider.png": (192, 128)}
    assert all(name in painted for name in sizes if name != "out.png")
    assert [answer["model_name"] for answer in documents(cancelled)] == ["demo_image"]


def test_the_script_paints(triptych: Addresses, tmp_path: Path) -> None:
    PAGE.run_python(triptych, tmp_path)
    assert size_of(tmp_path / "circle.png") == (128, 128)
