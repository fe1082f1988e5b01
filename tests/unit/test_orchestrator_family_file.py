"""What the REST service reads of a family's file, where the family's weights are not."""

from pathlib import Path

import pytest

from modelcore.errors import SetupProblem
from modelcore.family import Concepts, family_names, read_family
from orchestrator.family_file import read_concepts

FAMILIES = Path(__file__).parents[2] / "families"


@pytest.mark.parametrize("name", family_names(FAMILIES))
def test_it_reads_what_the_whole_reader_reads(name: str) -> None:
    assert read_concepts(FAMILIES, name) == read_family(FAMILIES / name).concepts


def written(families: Path, text: str) -> Path:
    (families / "mine").mkdir()
    (families / "mine" / "family.toml").write_text(text, encoding="utf-8")
    return families


def test_a_family_that_says_nothing_of_it_has_the_defaults(tmp_path: Path) -> None:
    assert read_concepts(written(tmp_path, 'name = "mine"'), "mine") == Concepts()


def test_parts_that_are_not_there_are_nobodys_business(tmp_path: Path) -> None:
    families = written(tmp_path, '[parts.clip]\nfolder = "gone"\n[concepts]\nlabels = "demo"')
    assert read_concepts(families, "mine").labels == "demo"


@pytest.mark.parametrize("line", ['crop_background = "pink"', "crop_padding = true", "unknown = 1", "labels = 7"])
def test_a_wrong_line_is_named_with_its_place(tmp_path: Path, line: str) -> None:
    key = line.partition(" ")[0]
    with pytest.raises(SetupProblem, match=rf"family\.toml:2: {key}: "):
        read_concepts(written(tmp_path, f"[concepts]\n{line}"), "mine")


def test_a_family_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match=r"family\.toml"):
        read_concepts(tmp_path, "mine")
