"""What a model repository needs beside the exported files: configurations, shims, ensembles.

What is committed, or somebody's own, is left alone; the first line of a file says whether it is ours to write again.
"""

import shutil
from pathlib import Path

from export.plan import VERSION
from modelcore.catalog import CATALOG
from modelcore.contract import ServedModel
from modelcore.pbtxt import Profile, render
from modelcore.repository import EXPORTED_HEADER

_PROFILES: dict[Profile, str] = {"default": "config.pbtxt", "gpu": "configs/gpu.pbtxt"}
_SHIM = "model.py"
_SHIMS = Path(__file__).resolve().parent.parent / "model_repository"


def write_config(repository: Path, model: ServedModel) -> None:
    for profile, name in _PROFILES.items():
        path = repository / model.name / name
        if (profile == "gpu" and model.gpu is None) or not _is_ours_to_write(path):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_text(f"{EXPORTED_HEADER}\n{render(model, profile).partition(chr(10))[2]}")
        temporary.rename(path)


def add_shim(version: Path, model: ServedModel) -> None:
    """A python model's code, where the repository is a new one. Its own, if it has one, is put in by staging."""
    if model.backend == "python":
        shutil.copyfile(_SHIMS / model.name / VERSION / _SHIM, version / _SHIM)


def write_ensembles(repository: Path) -> None:
    """Those whose every step is there. They have no files, only an empty version, which Triton insists on."""
    for model in CATALOG:
        if model.steps and all((repository / step.model / VERSION).is_dir() for step in model.steps):
            write_config(repository, model)
            (repository / model.name / VERSION).mkdir(exist_ok=True)


def _is_ours_to_write(path: Path) -> bool:
    if not path.exists():
        return True
    with path.open() as file:
        return file.readline().rstrip() == EXPORTED_HEADER
