"""Everything that docs/openai.md shows, in the order in which it stands there: the snippets, then the commands."""

from pathlib import Path

import pytest

from tests.pages import Page, documents, size_of
from tests.triptych_process import Addresses

pytestmark = pytest.mark.triton
PAGE = Page("openai.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("openai")


@pytest.fixture(scope="module")
def printed(triptych: Addresses, folder: Path) -> str:
    return PAGE.run_python(triptych, folder)


def test_every_snippet_of_the_page_runs(printed: str, folder: Path) -> None:
    models, *events, words, vectors, linked = printed.splitlines()
    assert models == "['demo', 'clip']"
    assert events == [
        "image_generation.partial_image 128x128",
        "image_generation.partial_image 128x128",
        "image_generation.completed 128x128",
    ]
    assert words.count("'") == 4  # two pictures, each with its words
    assert vectors.split()[0].isdigit()
    assert linked == "image/png"
    for name in ("circle.png", "star.png", "hole.png", "edited.png"):
        assert size_of(folder / name) == (128, 128)


def test_the_same_goes_without_the_sdk(triptych: Addresses, printed: str, folder: Path) -> None:
    (output,) = PAGE.run_shell(triptych, folder)
    models, painted, edited, varied, embedded = documents(output)
    assert [model["id"] for model in models["data"]] == ["demo", "clip"]
    assert [len(answer["data"]) for answer in (painted, edited, varied, embedded)] == [1, 1, 2, 1]
    assert varied["data"][0]["url"].startswith(f"http://{triptych.rest}/v1/images/files/")
