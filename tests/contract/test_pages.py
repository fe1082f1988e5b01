"""What a page of docs/ shows to be typed is run by a test that names the page, or there is a reason why not."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGES = sorted((PROJECT / "docs").glob("*.md"))
TESTS = [path for path in (PROJECT / "tests").rglob("test_*.py") if path != Path(__file__)]
FENCED = re.compile(r"^```(sh|python)$", re.MULTILINE)
INDENTED = re.compile(r"\n\n    \S")
NOT_RUN = {
    "deployment.md": "needs a container engine; test_deploy_compose.py reads the same files",
    "embedded-triton.md": "shows a repository that nobody has; triton/test_embedded_lifecycle.py starts such ones",
    "export.md": "fetches weights from a hub, and a family's file is no command; e2e/test_export_command.py exports",
    "gpu.md": "needs a GPU, and says so itself",
    "storage.md": "the same three commands as access.md, with another name",
    "training.md": "takes hours; unit/test_training_command.py trains less",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_is_run_or_there_is_a_reason(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shows_commands = bool(FENCED.search(text) or INDENTED.search(text))
    is_run = any(f'"{page.name}"' in path.read_text(encoding="utf-8") for path in TESTS)
    assert not shows_commands or is_run != (page.name in NOT_RUN)


def test_every_reason_is_about_a_page_that_is_there() -> None:
    assert NOT_RUN.keys() <= {page.name for page in PAGES}
