"""A CLIP folder in the hub's layout: both towers as networks, the tokenizer and the preprocessing as files."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from export.graph import GraphInput, GraphOutput
from export.network import Network
from modelcore.errors import SetupProblem
from modelcore.text.tokenizing import TOKENIZER_FILE
from modelcore.vision.clip import SPEC_FILE

_PROMPTS = ["a large red circle above a small blue square", "a photo of a cat", "sunset over the sea, oil on canvas"]


class TextTower(torch.nn.Module):
    """With the temperature of these very weights: whoever turns cosines into confidences needs both."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip
        self.logit_scale = torch.nn.Buffer(clip.logit_scale.detach().exp())

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.clip.get_text_features(input_ids=input_ids).pooler_output
        scales = self.logit_scale.expand(input_ids.shape[0], 1)
        return torch.nn.functional.normalize(features, dim=-1), scales


class ImageTower(torch.nn.Module):
    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        features = self.clip.get_image_features(pixel_values=pixel_values).pooler_output
        return torch.nn.functional.normalize(features, dim=-1)


def load_clip(folder: Path) -> CLIPModel:
    transformers_logging.disable_progress_bar()  # its bar would break into ours
    try:
        return CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise SetupProblem(f"{folder} holds no readable CLIP: {str(error).splitlines()[0]}") from error


def text_network(clip: CLIPModel, prompts: torch.Tensor | None = None) -> Network:
    """`prompts` are the ids of real ones, to prove the graph with beside random ids."""
    context = context_length(clip)
    cases = {
        f"batch {rows}, length {length}": (_random_ids(clip, rows, length),) for rows, length in ((1, context), (5, 7))
    }
    return Network(
        module=TextTower(clip),
        inputs=(GraphInput("input_ids", _random_ids(clip, 2, context), (0, 1), {0: "batch", 1: "length"}),),
        outputs=(GraphOutput("embedding", {0: "batch", 1: "size"}), GraphOutput("logit_scale", {0: "batch"})),
        cases=cases if prompts is None else {**cases, "real prompts": (prompts,)},
    )


def real_prompts(folder: Path) -> torch.Tensor:
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    ids: torch.Tensor = tokenizer(_PROMPTS, padding=True, truncation=True, return_tensors="pt")["input_ids"]
    return ids


def image_network(clip: CLIPModel) -> Network:
    vision: Any = clip.config.vision_config
    side = int(vision.image_size)
    # The size is fixed in this tower, and open in config.pbtxt: other families have others.
    symbols = {0: "batch", 2: "height", 3: "width"}
    return Network(
        module=ImageTower(clip),
        inputs=(GraphInput("pixel_values", torch.randn(2, 3, side, side), (0,), symbols),),
        outputs=(GraphOutput("embedding", {0: "batch", 1: "size"}),),
        cases={
            **{f"batch {rows}": (torch.randn(rows, 3, side, side),) for rows in (1, 5)},
            "a drawn picture": (_drawn_picture(side),),
        },
    )


def _drawn_picture(side: int) -> torch.Tensor:
    """A red disc on a slope of grey, normalised about as every CLIP's pictures are."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    picture = rows.expand(3, -1, -1).clone()
    picture[:, (rows - 0.4) ** 2 + (columns - 0.6) ** 2 < 0.05] = torch.tensor([[0.9], [0.1], [0.1]])
    return ((picture - 0.45) / 0.27)[None]


def write_tokenizer(folder: Path, context: int, version: Path) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    backend = tokenizer.backend_tokenizer
    backend.enable_padding(length=context, pad_id=tokenizer.pad_token_id, pad_token=str(tokenizer.pad_token))
    backend.save(str(version / TOKENIZER_FILE))


def write_preprocessing(folder: Path, version: Path) -> None:
    config: dict[str, Any] = json.loads((folder / "preprocessor_config.json").read_text())
    crop, size = config["crop_size"], config["size"]
    spec = {
        "shortest_edge_px": size if isinstance(size, int) else size["shortest_edge"],
        "crop_px": crop if isinstance(crop, int) else crop["height"],
        "mean": config["image_mean"],
        "std": config["image_std"],
    }
    (version / SPEC_FILE).write_text(json.dumps(spec, indent=2) + "\n")


def context_length(clip: CLIPModel) -> int:
    return int(_text_config(clip).max_position_embeddings)


def _random_ids(clip: CLIPModel, rows: int, length: int) -> torch.Tensor:
    """Any ids, then the end mark: the tower pools at the first one."""
    text = _text_config(clip)
    ids = torch.randint(0, text.vocab_size - 2, (rows, length))
    ids[:, -1] = text.vocab_size - 1 if text.eos_token_id == 2 else text.eos_token_id
    return ids


def _text_config(clip: CLIPModel) -> Any:
    """transformers types it as a dict or None too, which it never is on a loaded model."""
    return clip.config.text_config
