"""The four sizes in which Meta publishes SAM2, told apart by their weights' shapes."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from transformers import Sam2Config

from modelcore.errors import SetupProblem


@dataclass(frozen=True)
class HieraSize:
    """What differs between the sizes, as in the YAML files of Meta's package."""

    name: str
    width: int
    heads: int
    blocks: tuple[int, int, int, int]
    windows: tuple[int, int, int, int]
    global_blocks: tuple[int, int, int]
    background: int


SIZES = (
    HieraSize("tiny", 96, 1, (1, 2, 7, 2), (8, 4, 14, 7), (5, 7, 9), 7),
    HieraSize("small", 96, 1, (1, 2, 11, 2), (8, 4, 14, 7), (7, 10, 13), 7),
    HieraSize("base plus", 112, 2, (2, 3, 16, 3), (8, 4, 14, 7), (12, 16, 20), 14),
    HieraSize("large", 144, 2, (2, 6, 36, 4), (8, 4, 16, 8), (23, 33, 43), 7),
)
_FIRST_LAYER = "vision_encoder.backbone.patch_embed.projection.weight"
_ATTENTION = "vision_encoder.backbone.blocks.{}.attn.qkv.weight"


def config_of(weights: Mapping[str, torch.Tensor]) -> Sam2Config:
    """From the weights under transformers' names."""
    for size in SIZES:
        width = len(weights[_FIRST_LAYER]) if _FIRST_LAYER in weights else None
        last = sum(size.blocks) - 1
        if width == size.width and _ATTENTION.format(last) in weights and _ATTENTION.format(last + 1) not in weights:
            return size_config(size)
    raise SetupProblem(f"its weights fit none of SAM2's sizes: {', '.join(size.name for size in SIZES)}")


def size_config(size: HieraSize) -> Sam2Config:
    widths = [size.width * 2**stage for stage in range(len(size.blocks))]
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": size.width,
        "num_attention_heads": size.heads,
        "blocks_per_stage": list(size.blocks),
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [size.heads * 2**stage for stage in range(len(size.blocks))],
        "window_size_per_stage": list(size.windows),
        "global_attention_blocks": list(size.global_blocks),
        "window_positional_embedding_background_size": [size.background] * 2,
    }
    return Sam2Config(vision_config={"backbone_config": backbone, "backbone_channel_list": widths[::-1]})
