from pathlib import Path

import pytest

from modelcore.errors import SetupProblem
from modelcore.family import read_family

GOOD = 'name = "tiny"\nabout = "small"\nlicence = "Apache-2.0"\n[parts.clip]\nfolder = "clip"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny" / "clip").mkdir(parents=True)
    return tmp_path / "tiny"


def read(folder: Path, text: str) -> object:
    (folder / "family.toml").write_text(text)
    return read_family(folder)


def test_parts_are_folders_beside_the_file(folder: Path) -> None:
    (folder / "family.toml").write_text(GOOD)
    assert read_family(folder).part("clip") == folder / "clip"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (GOOD + "colour = 3\n", 6, "unknown key 'colour'"),
        (GOOD.replace('"small"', "7"), 2, "about must be a non-empty string: 7"),
        (GOOD.replace('"clip"', '"gone"'), 5, "no such folder"),
        (GOOD.replace("[parts.clip]", "[parts.clop]"), 4, "unknown key 'clop'"),
        (GOOD.replace('"tiny"', '"other"'), 1, "the folder's own"),
    ],
)
def test_a_mistake_names_its_line(folder: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(SetupProblem) as caught:
        read(folder, text)
    assert f"family.toml:{line}: " in caught.value.detail
    assert reason in caught.value.detail


def test_broken_toml_is_one_line(folder: Path) -> None:
    with pytest.raises(SetupProblem, match="line 1"):
        read(folder, "name = = 3")


def test_a_missing_family_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match="no family here"):
        read_family(tmp_path / "nothing")


def test_a_missing_part_is_named(folder: Path) -> None:
    (folder / "family.toml").write_text(GOOD)
    with pytest.raises(SetupProblem, match="no part 'vae'"):
        read_family(folder).part("vae")
