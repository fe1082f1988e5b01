"""What a model repository needs beside the exported files: configurations and ensembles."""

from pathlib import Path

from export.plan import VERSION
from export.shims import is_ours_to_write
from modelcore.catalog import CATALOG
from modelcore.contract import ServedModel
from modelcore.pbtxt import Profile, render
from modelcore.repository import EXPORTED_HEADER

_PROFILES: dict[Profile, str] = {"default": "config.pbtxt", "gpu": "configs/gpu.pbtxt"}


def write_config(repository: Path, model: ServedModel) -> None:
    for profile, name in _PROFILES.items():
        path = repository / model.name / name
        if (profile == "gpu" and model.gpu is None) or not is_ours_to_write(path):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_text(f"{EXPORTED_HEADER}\n{render(model, profile).partition(chr(10))[2]}")
        temporary.rename(path)
        if profile == "default":
            # Of no interest to anybody's git: who wants the model exports it. The committed ones are not ours to write.
            (path.parent / ".gitignore").write_text("*\n")


def write_ensembles(repository: Path) -> None:
    """Those whose every step is there. They have no files, only an empty version, which Triton insists on."""
    for model in CATALOG:
        if model.steps and all((repository / step.model / VERSION).is_dir() for step in model.steps):
            write_config(repository, model)
            (repository / model.name / VERSION).mkdir(exist_ok=True)
