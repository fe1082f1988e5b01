"""A SAM2 folder in the hub's layout as transformers' Sam2Model, or one clear line why not. Reads safetensors only."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import Sam2Model
from transformers.utils import logging as transformers_logging

from modelcore.errors import SetupProblem

# Meta's own folders on the hub say sam2_video: the same weights with those for films beside them.
_MODEL_TYPES = ("sam2", "sam2_video")


def load_sam2(folder: Path) -> Sam2Model:
    _check_model_type(folder)
    transformers_logging.disable_progress_bar()  # its bar would break into ours
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # it warns about sam2_video, and lists what it leaves out
    try:
        # Typed as the model alone, whatever is asked for.
        loaded: Any = Sam2Model.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # safetensors, transformers and json share no class of error
        raise SetupProblem(f"{folder} holds no readable SAM2: {str(error).strip().splitlines()[0]}") from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    model: Sam2Model
    model, report = loaded
    if report["missing_keys"]:
        # transformers would go on with random numbers in their place.
        raise SetupProblem(f"{folder} is no whole SAM2: {sorted(report['missing_keys'])[0]} is missing")
    model.eval()
    return model


def _check_model_type(folder: Path) -> None:
    try:
        model_type = json.loads((folder / "config.json").read_text()).get("model_type")
    except (OSError, ValueError) as error:
        raise SetupProblem(f"{folder} holds no readable SAM2: config.json: {error}") from error
    if model_type not in _MODEL_TYPES:
        raise SetupProblem(f"{folder} holds a {model_type!r}, not a SAM2 ({' or '.join(_MODEL_TYPES)})")
