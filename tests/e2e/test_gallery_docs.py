"""Everything that docs/gallery.md shows is run as it stands there."""

import re
from pathlib import Path

import pytest

from tests.pages import Page, documents, size_of
from tests.triptych_process import Addresses

pytestmark = pytest.mark.triton
PAGE = Page("gallery.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gallery")


@pytest.fixture(scope="module")
def printed(triptych: Addresses, folder: Path) -> list[str]:
    return PAGE.run_shell(triptych, folder)


def test_the_commands_find_the_picture_they_make(printed: list[str]) -> None:
    (made, all_of_them), likest = documents(printed[0]), documents(printed[1])
    pages = [all_of_them, *likest]
    assert len(pages) == 3
    assert [[image["id"] for image in page["images"]] for page in pages] == [[made["image_id"]]] * 3


def test_the_commands_about_one_picture_read_judge_and_delete_it(printed: list[str], folder: Path) -> None:
    described, judged, status = documents(printed[2])
    assert (described["id"], described["feedback"]) == (judged["id"], 0)
    assert (judged["feedback"], judged["note"], status) == (1, "the best so far", 204)
    assert [size_of(folder / name) for name in ("picture.png", "thumbnail.webp")] == [(128, 128)] * 2


def test_the_scripts_run(triptych: Addresses, tmp_path: Path) -> None:
    found, told, gone = PAGE.run_python(triptych, tmp_path).splitlines()
    assert re.fullmatch(r"\[\('[0-9a-f-]{36}', [01]\.\d+\)\]", found)  # the other star, and how like it is
    assert (told, gone) == ("image/png 304 -1", "204 404")
