"""What the mask decoder makes of a picture before it looks at any prompt, so that a thousand prompts share it.

The decoder's first layer meets picture features that no prompt has touched: its key, value and query projections of
them are the same for every prompt. An earlier mask is added to the features before all of that, so it belongs here too,
and the same graph, called with one mask per prompt, then gives rows per prompt where it else gives one for all.
"""

from typing import Any

import torch
from transformers import Sam2Model
from transformers.models.sam2.modeling_sam2 import Sam2Attention

from export.graph import GraphInput, GraphOutput
from export.network import Network
from export.sam2.attention import split_heads
from export.sam2.sizes import embedding_shape, image_places, mask_input_shape


class Prepare(torch.nn.Module):
    def __init__(self, model: Sam2Model) -> None:
        super().__init__()
        first: Any = model.mask_decoder.transformer.layers[0]
        self.to_image: Sam2Attention = first.cross_attn_token_to_image
        self.from_image: Sam2Attention = first.cross_attn_image_to_token
        self.embed_mask = model.prompt_encoder.mask_embed
        self.no_mask = torch.nn.Buffer(model.prompt_encoder.no_mask_embed.weight.detach().reshape(1, -1, 1, 1))
        self.places = torch.nn.Buffer(image_places(model))

    def forward(
        self, image_embedding: torch.Tensor, mask_input: torch.Tensor, has_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        dense = torch.where(has_mask[:, None, None, None], self.embed_mask(mask_input), self.no_mask)
        tokens = (image_embedding + dense).flatten(2).transpose(1, 2)  # (masks, positions, channels)
        placed = tokens + self.places
        keys = split_heads(self.to_image, self.to_image.k_proj(placed)).transpose(2, 3)
        values = split_heads(self.to_image, self.to_image.v_proj(tokens))
        # Scaled here, once, instead of each prompt's scores: exact where head_dim is a power of four, as in Meta's.
        queries = split_heads(self.from_image, self.from_image.q_proj(placed)) * self.from_image.scaling
        return tokens, keys, values, queries


def prepare_network(model: Sam2Model) -> Network:
    channels, height, width = embedding_shape(model)
    embedding = torch.randn(1, channels, height, width)

    def case(*has_mask: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        masks = 8 * torch.randn(len(has_mask), *mask_input_shape(model))
        return torch.randn_like(embedding), masks, torch.tensor(has_mask)

    _, masks, has_mask = case(True, False)
    heads = {0: "masks", 1: "heads"}
    return Network(
        module=Prepare(model),
        inputs=(
            GraphInput("image_embedding", embedding, (), {1: "channels", 2: "height", 3: "width"}),
            GraphInput("mask_input", masks, (0,), {0: "masks", 2: "mask_height", 3: "mask_width"}),
            GraphInput("has_mask", has_mask, (0,), {0: "masks"}),
        ),
        outputs=(
            GraphOutput("image_tokens", {0: "masks", 1: "positions", 2: "channels"}),
            GraphOutput("image_keys", {**heads, 2: "head_size", 3: "positions"}),
            GraphOutput("image_values", {**heads, 2: "positions", 3: "head_size"}),
            GraphOutput("image_queries", {**heads, 2: "positions", 3: "head_size"}),
        ),
        cases={
            "no mask": case(False),
            "one mask": case(True),
            "three prompts, two with masks": case(True, False, True),
        },
    )
