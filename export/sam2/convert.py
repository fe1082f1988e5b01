"""Meta's SAM2 checkpoint (.pt) to a folder in the hub's layout. Never unpickles here: another process does."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.torch import load_file
from transformers import Sam2Model
from transformers.utils import logging as transformers_logging

from export.sam2.meta_names import to_transformers
from export.sam2.meta_sizes import config_of
from export.sam2.sizes import picture_side_px
from modelcore.errors import SetupProblem

UNPICKLE_TIMEOUT_S = 600
_UNPICKLE = Path(__file__).with_name("unpickle.py")
_PREPROCESSING = {
    "image_processor_type": "Sam2ImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


def convert(checkpoint: Path, folder: Path) -> None:
    """All of the folder or nothing of it."""
    if folder.exists():
        raise SetupProblem(f"{folder} is there already; remove it or choose another")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        tensors = Path(scratch, "meta.safetensors")
        _unpickle(checkpoint, tensors)
        _write(_model(checkpoint, tensors), Path(scratch, "folder"))
        Path(scratch, "folder").rename(folder)


def _unpickle(checkpoint: Path, tensors: Path) -> None:
    if not checkpoint.is_file():
        raise SetupProblem(f"there is no file {checkpoint}")
    # By its file: as a module it would import this package, and transformers with it.
    command = [sys.executable, "-I", str(_UNPICKLE), str(checkpoint.resolve()), str(tensors.resolve())]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=UNPICKLE_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise SetupProblem(f"{checkpoint}: reading took over {UNPICKLE_TIMEOUT_S} s") from error
    if ran.returncode != 0:
        lines = ran.stderr.strip().splitlines() or [f"its reader ended with status {ran.returncode}"]
        raise SetupProblem(f"{checkpoint} is refused: {lines[-1]}")


def _model(checkpoint: Path, tensors: Path) -> Sam2Model:
    weights = to_transformers(load_file(tensors))
    try:
        model = Sam2Model(config_of(weights))
        model.load_state_dict(weights)
    except SetupProblem as problem:
        raise SetupProblem(f"{checkpoint} is no SAM2: {problem.detail}") from problem
    except RuntimeError as error:
        raise SetupProblem(f"{checkpoint} is no SAM2: {' '.join(str(error).split())[:200]}") from error
    return model


def _write(model: Sam2Model, folder: Path) -> None:
    transformers_logging.disable_progress_bar()
    model.save_pretrained(folder)
    size = dict.fromkeys(("height", "width"), picture_side_px(model))
    (folder / "preprocessor_config.json").write_text(json.dumps({**_PREPROCESSING, "size": size}, indent=2) + "\n")
