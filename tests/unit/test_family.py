from pathlib import Path

import pytest

from modelcore.contract import Limit
from modelcore.errors import SetupProblem
from modelcore.family import Concepts, Family, HubSource, Part, family_names, read_family
from triptych.project import FAMILIES

REVISION = "0123456789abcdef0123456789abcdef01234567"
HEAD = 'name = "tiny"\nabout = "small"\nlicence = "Apache-2.0"\n'
CLIP = HEAD + '[parts.clip]\nfolder = "clip"\n'
PICTURES = (
    HEAD
    + 'architecture = "sd"\n'  # line 4
    + '[defaults]\nsteps = 4\nguidance_scale = 7.5\nwidth = 64\nheight = 64\nscheduler = "ddim"\n'
    + "[limits]\nwidth = [32, 128]\nheight = [32, 128]\nsteps_max = 50\npictures_max = 4\n"
    + f'[parts.diffusion]\nhub = "owner/pictures"\nrevision = "{REVISION}"\n'  # lines 16 to 18
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny" / "clip").mkdir(parents=True)
    return tmp_path / "tiny"


def read(folder: Path, text: str) -> Family:
    (folder / "family.toml").write_text(text)
    return read_family(folder)


def test_a_part_may_be_a_folder_beside_the_file(folder: Path) -> None:
    assert read(folder, CLIP).part("clip") == Part("clip", folder / "clip", "", "Apache-2.0")


def test_a_part_may_be_a_path_of_this_machine(folder: Path) -> None:
    part = read(folder, HEAD + '[parts.clip]\npath = "~/clip"\nsubfolder = "inner"\nlicence = "MIT"\n').part("clip")
    assert part == Part("clip", Path.home() / "clip", "inner", "MIT")


def test_a_part_may_be_a_commit_of_the_hub(folder: Path) -> None:
    source = read(folder, PICTURES + "gated = true\n").part("diffusion").source
    assert source == HubSource("owner/pictures", REVISION, gated=True)


def test_defaults_and_limits_come_with_an_architecture(folder: Path) -> None:
    diffusion = read(folder, PICTURES).diffusion
    assert diffusion is not None
    assert (diffusion.architecture, diffusion.defaults.guidance_scale) == ("sd", 7.5)
    assert diffusion.limits.width == Limit("width", 32, 128)
    assert diffusion.limits.steps == Limit("steps", 1, 50)


def test_a_family_may_say_how_its_clip_is_asked(folder: Path) -> None:
    text = CLIP + '[concepts]\nlabels = "demo"\ncrop_padding = 0.75\ncrop_background = "dropped"\n'
    assert read(folder, text).concepts == Concepts("demo", 0.75, "dropped")
    assert read(folder, CLIP).concepts == Concepts()


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (CLIP + "colour = 3\n", 6, "unknown key 'colour'"),
        (CLIP.replace('"small"', "7"), 2, "about must be a non-empty string: 7"),
        (CLIP.replace('"clip"', '"gone"'), 5, "no such folder"),
        (CLIP.replace('"clip"', '"../clip"'), 5, "must stay below"),
        (CLIP.replace("[parts.clip]", "[parts.clop]"), 4, "unknown key 'clop'"),
        (CLIP.replace('"tiny"', '"other"'), 1, "the folder's own"),
        (CLIP + 'path = "/x"\n', 6, "exactly one of"),
        (HEAD + '[parts.clip]\nlicence = "MIT"\n', 4, "exactly one of"),
        (HEAD + '[parts.clip]\npath = "x"\n', 5, "must be absolute"),
        (HEAD + 'parts = "clip"\n', 4, "parts must be a table"),
        (CLIP + f'revision = "{REVISION}"\n', 6, "goes with a hub source"),
        (CLIP + "[limits]\n", 6, "for families with an architecture"),
        (PICTURES.replace(REVISION, "main"), 18, "must be a commit"),
        (PICTURES.replace("owner/pictures", "pictures"), 17, "owner/name"),
        (PICTURES + 'gated = "yes"\n', 19, "must be true or false"),
        (PICTURES.replace('"sd"', '"flux"'), 4, "must be one of sd, sdxl, sd3: 'flux'"),
        (PICTURES.replace("steps = 4", "steps = true"), 6, "whole number"),
        (PICTURES.replace("steps = 4", "steps = 51"), 6, "between 1 and 50"),
        (PICTURES.replace("7.5", "nan"), 7, "a number of 0 or more"),
        (PICTURES.replace("width = 64", "width = 60"), 8, "multiple of 8"),
        (PICTURES.replace("width = 64", ""), 5, "width must be a whole number"),
        (PICTURES.replace('"ddim"', '"DDIM!"'), 10, "scheduler must be a name"),
        (PICTURES.replace("[32, 128]", "[128, 32]", 1), 12, "[smallest, largest]"),
        (PICTURES.replace("[32, 128]", "[33, 128]", 1), 12, "multiples of 8"),
        (PICTURES.partition("[parts")[0], 4, "come together or not at all"),
        (CLIP + '[concepts]\ncrop_background = "gone"\n', 7, "one of kept, blurred, dropped: 'gone'"),
        (CLIP + "[concepts]\ncrop_padding = -1\n", 7, "a number of 0 or more: -1"),
        (CLIP + "[concepts]\nlabel = 3\n", 7, "unknown key 'label'"),
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


def test_a_missing_family_is_named_with_those_there_are(folder: Path) -> None:
    (folder / "family.toml").write_text(CLIP)
    with pytest.raises(SetupProblem, match=r"no family here: .*nothing.*: tiny$"):
        read_family(folder.parent / "nothing")


def test_a_family_name_cannot_leave_its_folder(folder: Path) -> None:
    (folder / "family.toml").write_text(CLIP)
    with pytest.raises(SetupProblem, match="no family here"):
        read_family(folder / "..")


def test_a_missing_part_is_named(folder: Path) -> None:
    with pytest.raises(SetupProblem, match="no part 'vae'"):
        read(folder, CLIP).part("vae")


@pytest.mark.parametrize("name", family_names(FAMILIES))
def test_every_family_of_this_repository_reads(name: str) -> None:
    assert read_family(FAMILIES / name).parts
