"""A CLIP folder in the hub's layout to four served models: both towers, the tokenizer, the preprocessing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from export import manifest
from export.graph import GraphInput, GraphOutput, export_graph
from export.parity import check_parity
from export.plan import FILES, MODEL_FILE, Plan
from modelcore.errors import SetupProblem
from modelcore.text.tokenizing import TOKENIZER_FILE
from modelcore.vision.clip import SPEC_FILE


@dataclass(frozen=True)
class Progress:
    model: str
    stage: str


class TextTower(torch.nn.Module):
    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        features = self.clip.get_text_features(input_ids=input_ids).pooler_output
        return torch.nn.functional.normalize(features, dim=-1)


class ImageTower(torch.nn.Module):
    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        features = self.clip.get_image_features(pixel_values=pixel_values).pooler_output
        return torch.nn.functional.normalize(features, dim=-1)


def export_clip(plan: Plan) -> Iterator[Progress]:
    """Export what the plan calls stale; one event per model and stage."""
    yield Progress("clip", "loading")
    clip = _load(plan.source)
    for name in plan.stale:
        yield Progress(name, "exporting")
        version = plan.version(name)
        version.mkdir(parents=True, exist_ok=True)
        errors = _EXPORTERS[name](clip, plan.source, version)
        manifest.write(version, plan.made_from, FILES[name], errors)
        worst = f", largest relative error {max(errors.values()):.1e}" if errors else ""
        yield Progress(name, f"done{worst}")


def _load(source: Path) -> CLIPModel:
    transformers_logging.disable_progress_bar()  # its bar would break into ours
    try:
        return CLIPModel.from_pretrained(source, local_files_only=True, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise SetupProblem(f"{source} holds no readable CLIP: {str(error).splitlines()[0]}") from error


def _export_text(clip: CLIPModel, source: Path, version: Path) -> dict[str, float]:
    context = _text_config(clip).max_position_embeddings
    ids = {f"batch {rows}, length {length}": _random_ids(clip, rows, length) for rows, length in ((1, context), (5, 7))}
    tower = TextTower(clip)
    export_graph(
        tower,
        [GraphInput("input_ids", _random_ids(clip, 2, context), (0, 1), {0: "batch", 1: "length"})],
        [GraphOutput("embedding", {0: "batch", 1: "size"})],
        version / MODEL_FILE,
    )
    return check_parity(
        "clip_text",
        version / MODEL_FILE,
        tower,
        {case: {"input_ids": value} for case, value in ids.items()},
    )


def _export_image(clip: CLIPModel, source: Path, version: Path) -> dict[str, float]:
    vision: Any = clip.config.vision_config
    side = int(vision.image_size)
    tower = ImageTower(clip)
    export_graph(
        tower,
        [
            GraphInput(
                "pixel_values",
                torch.randn(2, 3, side, side),
                dynamic_axes=(0,),
                symbols={0: "batch", 2: "height", 3: "width"},
            )
        ],
        [GraphOutput("embedding", {0: "batch", 1: "size"})],
        version / MODEL_FILE,
    )
    cases = {f"batch {rows}": {"pixel_values": torch.randn(rows, 3, side, side)} for rows in (1, 5)}
    return check_parity("clip_image", version / MODEL_FILE, tower, cases)


def _random_ids(clip: CLIPModel, rows: int, length: int) -> torch.Tensor:
    """Any ids, then the end mark: the tower pools at the first one."""
    text = _text_config(clip)
    ids = torch.randint(0, text.vocab_size - 2, (rows, length))
    ids[:, -1] = text.vocab_size - 1 if text.eos_token_id == 2 else text.eos_token_id
    return ids


def _text_config(clip: CLIPModel) -> Any:
    """transformers types it as a dict or None too, which it never is on a loaded model."""
    return clip.config.text_config


def _export_tokenizer(clip: CLIPModel, source: Path, version: Path) -> dict[str, float]:
    tokenizer = CLIPTokenizer.from_pretrained(source, local_files_only=True)
    context = _text_config(clip).max_position_embeddings
    backend = tokenizer.backend_tokenizer
    backend.enable_padding(length=context, pad_id=tokenizer.pad_token_id, pad_token=str(tokenizer.pad_token))
    backend.save(str(version / TOKENIZER_FILE))
    return {}


def _export_preprocessing(clip: CLIPModel, source: Path, version: Path) -> dict[str, float]:
    config: dict[str, Any] = json.loads((source / "preprocessor_config.json").read_text())
    crop, size = config["crop_size"], config["size"]
    spec = {
        "shortest_edge_px": size if isinstance(size, int) else size["shortest_edge"],
        "crop_px": crop if isinstance(crop, int) else crop["height"],
        "mean": config["image_mean"],
        "std": config["image_std"],
    }
    (version / SPEC_FILE).write_text(json.dumps(spec, indent=2) + "\n")
    return {}


_EXPORTERS = {
    "clip_tokenize": _export_tokenizer,
    "clip_preprocess": _export_preprocessing,
    "clip_text": _export_text,
    "clip_image": _export_image,
}
