"""What predicts the noise: the UNets of sd and sdxl, the transformer of sd3.

Each row of a batch has its own timestep, so that pictures at different steps can share a call. A UNet takes latents
of any size; sd3 takes even sizes up to those of its table of positions (diffusers' own cuts an odd row off).
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from export.diffusion.loading import load_part
from export.diffusion.pooling import pool_row_by_row
from export.graph import GraphInput, GraphOutput
from export.network import Case, Network

Tensors = Callable[[int, int, int, int], Case]  # rows, height, width, length of the text -> random inputs

_LATENTS = {0: "batch", 2: "latent_height", 3: "latent_width"}
_POOLED = {0: "batch", 1: "pooled_size"}
# In the order of every denoiser's inputs, of which sd has the first three and sd3 the first four.
_INPUTS: Mapping[str, tuple[tuple[int, ...], dict[int, str]]] = {
    "latents": ((0, 2, 3), _LATENTS),
    "timestep": ((0,), {0: "batch"}),
    "encoder_hidden_states": ((0, 1), {0: "batch", 1: "length", 2: "text_size"}),
    "pooled": ((0,), _POOLED),
    "time_ids": ((0,), {0: "batch"}),
}
_TIME_IDS = 6  # original height and width, top and left of the crop, wanted height and width


# Consistency models distilled with guidance take its scale as an input. Theirs is served with one scale, the default of
# diffusers' own pipeline, so that every sd UNet has the same inputs; such a model is never guided a second time.
DISTILLED_GUIDANCE_SCALE = 8.5


class Unet(torch.nn.Module):
    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet
        size = unet.config["time_cond_proj_dim"]
        self.guidance = None if size is None else guidance_embedding(DISTILLED_GUIDANCE_SCALE - 1, size)

    def forward(self, latents: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        guidance = None if self.guidance is None else self.guidance.expand(latents.shape[0], -1)
        # Triton has no rows without dims: timestep is (rows, 1).
        answer = self.unet(latents, timestep[:, 0], text, timestep_cond=guidance, return_dict=False)
        noise: torch.Tensor = answer[0]
        return noise


def guidance_embedding(scale: float, size: int) -> torch.Tensor:
    """(1, size): sines, then cosines, of the scale at falling frequencies, as the models were trained with."""
    half = size // 2
    frequencies = torch.exp(torch.arange(half) * (-math.log(10_000) / (half - 1)))
    angles = 1000 * scale * frequencies
    return torch.nn.functional.pad(torch.cat([angles.sin(), angles.cos()]), (0, size % 2))[None]


class UnetXl(torch.nn.Module):
    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        text: torch.Tensor,
        pooled: torch.Tensor,
        time_ids: torch.Tensor,
    ) -> torch.Tensor:
        added = {"text_embeds": pooled, "time_ids": time_ids}
        answer = self.unet(latents, timestep[:, 0], text, added_cond_kwargs=added, return_dict=False)
        noise: torch.Tensor = answer[0]
        return noise


class Transformer(torch.nn.Module):
    def __init__(self, transformer: SD3Transformer2DModel) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(
        self, latents: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor, pooled: torch.Tensor
    ) -> torch.Tensor:
        noise: torch.Tensor = self.transformer(latents, text, pooled, timestep[:, 0], return_dict=False)[0]
        return noise


def unet(folder: Path) -> Network:
    loaded = load_part(UNet2DConditionModel, folder)
    pool_row_by_row(loaded)
    config = loaded.config

    def tensors(rows: int, height: int, width: int, length: int) -> Case:
        return _common(config["in_channels"], config["cross_attention_dim"], rows, height, width, length)

    return _unet_network(Unet(loaded), loaded, tensors)


def unet_xl(folder: Path) -> Network:
    loaded = load_part(UNet2DConditionModel, folder)
    config = loaded.config
    of_time_ids = _TIME_IDS * config["addition_time_embed_dim"]
    pooled_size = config["projection_class_embeddings_input_dim"] - of_time_ids

    def tensors(rows: int, height: int, width: int, length: int) -> Case:
        common = _common(config["in_channels"], config["cross_attention_dim"], rows, height, width, length)
        time_ids = torch.randint(0, 1024, (rows, _TIME_IDS)).float()
        return (*common, torch.randn(rows, pooled_size), time_ids)

    return _unet_network(UnetXl(loaded), loaded, tensors)


def transformer(folder: Path) -> Network:
    loaded = load_part(SD3Transformer2DModel, folder)
    config = loaded.config

    def tensors(rows: int, height: int, width: int, length: int) -> Case:
        common = _common(config["in_channels"], config["joint_attention_dim"], rows, height, width, length)
        return (*common, torch.randn(rows, config["pooled_projection_dim"]))

    return _network(Transformer(loaded), tensors, example=(10, 14), others=((8, 8), (4, 18), (12, 6)))


def _unet_network(module: torch.nn.Module, loaded: UNet2DConditionModel, tensors: Tensors) -> Network:
    """Traced at a size that no level divides evenly: only then does diffusers hand the skip connections' sizes to its
    upsampling, which is right for even sizes too. Sizes of one would be taken for fixed ones, so none gets that low."""
    factor = 2**loaded.num_upsamplers
    return _network(
        module, tensors, example=(2 * factor + 1, 3 * factor + 1), others=((8, 8), (9, 7), (2 * factor, factor))
    )


def _network(
    module: torch.nn.Module, tensors: Tensors, example: tuple[int, int], others: tuple[tuple[int, int], ...]
) -> Network:
    shapes = zip((1, 3, 2), others, (77, 4, 7), strict=True)
    return Network(
        module=module,
        inputs=tuple(
            GraphInput(name, tensor, *_INPUTS[name])
            for name, tensor in zip(_INPUTS, tensors(2, *example, 5), strict=False)
        ),
        outputs=(GraphOutput("noise", _LATENTS),),
        cases={
            f"batch {rows}, {height}x{width} latents, text of {length}": tensors(rows, height, width, length)
            for rows, (height, width), length in shapes
        },
        cases_by_row={"rows at timesteps of their own, against each alone": _at_other_timesteps(tensors(4, 8, 8, 6))},
    )


def _common(channels: int, text_size: int, rows: int, height: int, width: int, length: int) -> Case:
    latents = torch.randn(rows, channels, height, width)
    return latents, torch.rand(rows, 1) * 999, torch.randn(rows, length, text_size)


def _at_other_timesteps(tensors: Case) -> Case:
    return (tensors[0], torch.tensor([[999.0], [0.0], [500.5], [1.0]]), *tensors[2:])
