"""What `segment` must know of a family's SAM2: sizes, normalisation, and how its automatic masks are best made."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import Sam2Config

from modelcore.errors import InvalidInput, SetupProblem
from modelcore.vision.automatic_parameters import AutomaticParameters
from modelcore.vision.sam2_input import FACTS_FILE, Sam2Facts

# Beside the weights, where they want other automatic masks than Meta's generator makes by default.
AUTOMATIC_FILE = "automatic_masks.json"


def write_segment_facts(source: Path, version: Path) -> None:
    (version / FACTS_FILE).write_text(json.dumps(asdict(segment_facts(source)), indent=2) + "\n")


def segment_facts(source: Path) -> Sam2Facts:
    """From the descriptions alone; no weights are read. What they leave out is transformers' default."""
    preprocessing = _read(source / "preprocessor_config.json")
    config: Any = Sam2Config.from_pretrained(source, local_files_only=True)
    decoder, prompts = config.mask_decoder_config, config.prompt_encoder_config
    side_px = int(prompts.image_size)
    if preprocessing["size"] != {"height": side_px, "width": side_px}:
        raise SetupProblem(f"{source}: preprocessor_config.json and config.json state two sizes")
    return Sam2Facts(
        side_px=side_px,
        mask_side_px=4 * side_px // int(prompts.patch_size),
        mean=tuple(preprocessing["image_mean"]),
        std=tuple(preprocessing["image_std"]),
        single_mask_offset=float(decoder.dynamic_multimask_stability_delta),
        single_mask_stability=(
            float(decoder.dynamic_multimask_stability_thresh) if decoder.dynamic_multimask_via_stability else 0.0
        ),
        automatic=_automatic(source / AUTOMATIC_FILE),
    )


def _automatic(path: Path) -> dict[str, Any]:
    wanted = _read(path) if path.exists() else {}
    try:
        AutomaticParameters(**wanted)
    except (TypeError, InvalidInput) as error:
        raise SetupProblem(f"{path}: {error}") from error
    return wanted


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SetupProblem(f"{path} cannot be read: {error}") from error
    return document
