"""Prompts to masks, on a picture that was prepared once.

A prompt is its points; a box is two of them, labelled 2 and 3, as Meta has it. Everything of the picture comes with one
row for all prompts, or, where an earlier mask was given for each, with one row per prompt: the graph broadcasts.
"""

from typing import Any

import torch
from transformers import Sam2Model

from export.graph import GraphInput, GraphOutput
from export.network import Network
from export.sam2.attention import attend, split_heads
from export.sam2.prepare import Prepare
from export.sam2.prompts import CORNERS, random_features, random_prompts
from export.sam2.sizes import embedding_shape, image_places, mask_input_shape


class Decoder(torch.nn.Module):
    def __init__(self, model: Sam2Model) -> None:
        super().__init__()
        self.prompts: Any = model.prompt_encoder
        self.decoder: Any = model.mask_decoder
        self.places = torch.nn.Buffer(image_places(model))
        self.map_size = embedding_shape(model)[1:]
        self.output_tokens = torch.nn.Buffer(_output_tokens(model))

    def forward(
        self,
        image_tokens: torch.Tensor,
        image_keys: torch.Tensor,
        image_values: torch.Tensor,
        image_queries: torch.Tensor,
        features_fine: torch.Tensor,
        features_middle: torch.Tensor,
        points: torch.Tensor,
        labels: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        prompt = self._prompt_tokens(points, labels)
        tokens, image = self._first_layer(prompt, image_tokens, image_keys, image_values, image_queries)
        tokens, image = self._later_layers(prompt, tokens, image)
        mask_tokens = tokens[:, 2 : 2 + self.decoder.num_mask_tokens]
        return (
            self._masks(mask_tokens, image, features_fine, features_middle),
            self.decoder.iou_prediction_head(tokens[:, 1]),
            self.decoder.pred_obj_score_head(tokens[:, 0]),
        )

    def _prompt_tokens(self, points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """(prompts, tokens, channels): object score, IoU, one per mask, then the points and transformers' end mark."""
        # transformers counts pictures first and prompts second; here there is one picture.
        sparse, _ = self.prompts(points[None], labels[None], None, None)
        return torch.cat([self.output_tokens.expand(points.shape[0], -1, -1), sparse[0]], dim=1)

    def _first_layer(
        self,
        prompt: torch.Tensor,
        image: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        queries: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """transformers' Sam2TwoWayAttentionBlock, but for the projections of the image, which Prepare has made."""
        layer = self.decoder.transformer.layers[0]
        tokens = layer.layer_norm1(layer.self_attn(prompt[None], prompt[None], prompt[None])[0][0])
        reading = layer.cross_attn_token_to_image
        asked = split_heads(reading, reading.q_proj(tokens + prompt)) * reading.scaling
        tokens = layer.layer_norm2(tokens + attend(reading, asked, keys, values))
        tokens = layer.layer_norm3(tokens + layer.mlp(tokens))
        writing = layer.cross_attn_image_to_token
        offered = split_heads(writing, writing.k_proj(tokens + prompt)).transpose(2, 3)
        told = split_heads(writing, writing.v_proj(tokens))
        return tokens, layer.layer_norm4(image + attend(writing, queries, offered, told))

    def _later_layers(
        self, prompt: torch.Tensor, tokens: torch.Tensor, image: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """transformers' own blocks: from here on the image differs from prompt to prompt."""
        transformer = self.decoder.transformer
        prompt, tokens, image, places = prompt[None], tokens[None], image[None], self.places[None]
        for layer in transformer.layers[1:]:
            tokens, image, _ = layer(tokens, image, prompt, places, None)
        read, _ = transformer.final_attn_token_to_image(query=tokens + prompt, key=image + places, value=image)
        return transformer.layer_norm_final_attn(tokens + read)[0], image[0]

    def _masks(
        self, mask_tokens: torch.Tensor, image: torch.Tensor, fine: torch.Tensor, middle: torch.Tensor
    ) -> torch.Tensor:
        decoder = self.decoder
        maps = image.transpose(1, 2).view(image.shape[0], -1, *self.map_size)
        maps = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(maps) + middle))
        maps = decoder.activation(decoder.upscale_conv2(maps) + fine)
        weights = torch.stack([mlp(mask_tokens[:, n]) for n, mlp in enumerate(decoder.output_hypernetworks_mlps)], 1)
        masks: torch.Tensor = (weights @ maps.flatten(2)).view(maps.shape[0], -1, *maps.shape[2:])
        return masks


def decoder_network(model: Sam2Model) -> Network:
    def case(prompts: int, points: int, *, masks: int = 1, box: bool = False) -> tuple[torch.Tensor, ...]:
        return (*_random_picture(model, masks), *random_prompts(model, prompts, points, box=box))

    example = case(2, 3)
    return Network(
        module=Decoder(model),
        inputs=(*_image_inputs(example), *_prompt_inputs(example)),
        outputs=(
            GraphOutput("masks", {0: "prompts", 2: "mask_height", 3: "mask_width"}),
            GraphOutput("iou_scores", {0: "prompts"}),
            GraphOutput("object_scores", {0: "prompts"}),
        ),
        cases={
            "one click": case(1, 1),
            "five prompts of two points": case(5, 2),
            "three boxes": case(3, CORNERS, box=True),
            "three boxes with two points each": case(3, 2 + CORNERS, box=True),
            "four prompts, each with an earlier mask": case(4, 1, masks=4),
        },
    )


def _image_inputs(example: tuple[torch.Tensor, ...]) -> tuple[GraphInput, ...]:
    # The rows are traced as one, and may be as many as there are prompts: every use of them broadcasts.
    rows, heads = {0: "masks"}, {0: "masks", 1: "heads"}
    tokens, keys, values, queries, fine, middle = example[:6]
    return (
        GraphInput("image_tokens", tokens, (), {**rows, 1: "positions", 2: "channels"}),
        GraphInput("image_keys", keys, (), {**heads, 2: "head_size", 3: "positions"}),
        GraphInput("image_values", values, (), {**heads, 2: "positions", 3: "head_size"}),
        GraphInput("image_queries", queries, (), {**heads, 2: "positions", 3: "head_size"}),
        GraphInput("features_fine", fine, (), {1: "fine_channels", 2: "fine_height", 3: "fine_width"}),
        GraphInput("features_middle", middle, (), {1: "middle_channels", 2: "middle_height", 3: "middle_width"}),
    )


def _prompt_inputs(example: tuple[torch.Tensor, ...]) -> tuple[GraphInput, ...]:
    points, labels = example[6:]
    return (
        GraphInput("points", points, (0, 1), {0: "prompts", 1: "points"}),
        GraphInput("labels", labels, (0, 1), {0: "prompts", 1: "points"}),
    )


def _random_picture(model: Sam2Model, masks: int) -> tuple[torch.Tensor, ...]:
    """Prepared features of a picture of noise; with `masks` above 1, an earlier mask in each row."""
    embedding, fine, middle = random_features(model)
    earlier = 8 * torch.randn(masks, *mask_input_shape(model))
    with torch.inference_mode():
        prepared = Prepare(model)(embedding, earlier, torch.full((masks,), masks > 1))
    return (*(tensor.clone() for tensor in prepared), fine, middle)


def _output_tokens(model: Sam2Model) -> torch.Tensor:
    decoder = model.mask_decoder
    parts = (decoder.obj_score_token, decoder.iou_token, decoder.mask_tokens)
    return torch.cat([part.weight.detach() for part in parts])[None]
