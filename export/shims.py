"""The code beside a python model's files: copied from this project's repository, where the demo family has its own."""

from pathlib import Path

from modelcore.contract import ServedModel
from modelcore.family import Family
from modelcore.repository import EXPORTED_HEADER

SHIM = "model.py"
_REPOSITORY = Path(__file__).resolve().parent.parent / "model_repository"
_COMMITTED_FAMILY = "demo"


def shim_source(family: Family, model: ServedModel) -> Path:
    """`sd14_image` is served by the code of `demo_image`; what has one name for all families, by its own."""
    own, is_of_family = model.name, model.name == family.name or model.name.startswith(f"{family.name}_")
    name = f"{_COMMITTED_FAMILY}{own.removeprefix(family.name)}" if is_of_family else own
    return _REPOSITORY / name / "1" / SHIM


def add_shim(version: Path, aside: Path, family: Family, model: ServedModel) -> None:
    """Into `aside`, unless `version`, which it will replace, has one that is not ours to write again."""
    if model.backend == "python" and is_ours_to_write(version / SHIM):
        shim = shim_source(family, model).read_text()
        (aside / SHIM).write_text(f"{EXPORTED_HEADER}\n{shim}")


def is_ours_to_write(path: Path) -> bool:
    """What is committed, or somebody's own, is left alone: the first line of a file says whether export wrote it."""
    if not path.exists():
        return True
    with path.open() as file:
        return file.readline().rstrip() == EXPORTED_HEADER
