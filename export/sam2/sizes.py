"""Sizes and places that all three SAM2 graphs share, read off the loaded model."""

from typing import Any

import torch
from transformers import Sam2Model


def picture_side_px(model: Sam2Model) -> int:
    """SAM2 takes square pictures of one size, stretched to it."""
    prompts: Any = model.prompt_encoder
    return int(prompts.input_image_size)


def embedding_shape(model: Sam2Model) -> tuple[int, int, int]:
    """Channels, height and width of the image embedding."""
    height, width = model.prompt_encoder.image_embedding_size
    return int(model.hidden_dim), int(height), int(width)


def mask_input_shape(model: Sam2Model) -> tuple[int, int, int]:
    """Of one earlier mask: as large as the masks that the decoder gives."""
    height, width = model.prompt_encoder.mask_input_size
    return 1, int(height), int(width)


def image_places(model: Sam2Model) -> torch.Tensor:
    """The positional encoding of the image tokens: (1, positions, channels)."""
    return model.get_image_wide_positional_embeddings().detach().flatten(2).transpose(1, 2)
