from typing import get_args

import pytest

from modelcore.contract import ServedModel
from modelcore.diffusion_models import diffusion_models
from modelcore.family import Architecture
from modelcore.pbtxt import parse, render

SUFFIXES = {
    "sd": ["text_encoder", "unet", "vae_encoder", "vae_decoder"],
    "sdxl": ["text_encoder", "text_encoder_2", "unet", "vae_encoder", "vae_decoder"],
    "sd3": ["text_encoder", "text_encoder_2", "text_encoder_3", "transformer", "vae_encoder", "vae_decoder"],
}


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_models_are_named_after_family_and_network(architecture: Architecture) -> None:
    names = [model.name for model in diffusion_models("demo", architecture)]
    assert names == [f"demo_{suffix}" for suffix in SUFFIXES[architecture]]


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_what_the_text_encoders_give_is_what_the_denoiser_takes(architecture: Architecture) -> None:
    given = {tensor.name for model in diffusion_models("demo", architecture) for tensor in model.outputs}
    (denoiser,) = (model for model in diffusion_models("demo", architecture) if "timestep" in _inputs(model))
    assert ("pooled" in given) == ("pooled" in _inputs(denoiser))


@pytest.mark.parametrize(("architecture", "channels"), [("sd", 4), ("sdxl", 4), ("sd3", 16)])
def test_latents_have_the_same_channels_in_every_network(architecture: Architecture, channels: int) -> None:
    models = diffusion_models("demo", architecture)
    tensors = [tensor for model in models for tensor in (*model.inputs, *model.outputs)]
    latents = [tensor.dims for tensor in tensors if "latents" in tensor.name or tensor.name == "noise"]
    assert latents == [(channels, -1, -1)] * 5


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_every_configuration_is_one_triton_can_parse(architecture: Architecture) -> None:
    for model in diffusion_models("demo", architecture):
        assert parse(render(model)).max_batch_size == model.max_batch_size
        assert parse(render(model, "gpu")).instance_group[0].kind == 1  # KIND_GPU


def _inputs(model: ServedModel) -> set[str]:
    return {tensor.name for tensor in model.inputs}
