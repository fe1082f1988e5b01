"""A family's networks in torch, as our arithmetic takes them: the modules that export converts, run as they are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from export.diffusion import builders
from modelcore.diffusion.networks import Floats, LatentFacts, Networks, latent_facts
from modelcore.family import Architecture

# What each denoiser is given, in the order of its module's arguments.
_DENOISER_INPUTS: dict[Architecture, tuple[str, ...]] = {
    "sd": ("latents", "timestep", "encoder_hidden_states"),
    "sdxl": ("latents", "timestep", "encoder_hidden_states", "pooled", "time_ids"),
    "sd3": ("latents", "timestep", "encoder_hidden_states", "pooled"),
}


def torch_networks(folder: Path, architecture: Architecture) -> Networks:
    """Of a family in the hub's layout."""
    run = {
        suffix: _runner(part.build(folder / part.folder).module)
        for suffix, part in builders(architecture).items()
        if (folder / part.folder).is_dir()
    }
    outputs = {suffix: _text_outputs(architecture, suffix) for suffix in run if suffix.startswith("text_encoder")}
    denoiser = run["transformer" if architecture == "sd3" else "unet"]
    names = _DENOISER_INPUTS[architecture]
    encode, decode = run["vae_encoder"], run["vae_decoder"]

    def encode_picture(picture: Floats) -> tuple[Floats, Floats]:
        mean, deviation = encode(picture)
        return mean, deviation

    return Networks(
        encode_text=tuple(_text_encoder(run[suffix], outputs[suffix]) for suffix in sorted(outputs)),
        denoise=lambda inputs: denoiser(*(inputs[name] for name in names))[0],
        encode_picture=encode_picture,
        decode_latents=lambda latents: decode(latents)[0],
    )


def torch_latent_facts(folder: Path, architecture: Architecture) -> LatentFacts:
    denoiser = "transformer" if architecture == "sd3" else "unet"
    configs = (json.loads((folder / part / "config.json").read_text()) for part in (denoiser, "vae"))
    return latent_facts(architecture, *configs)


def _runner(module: torch.nn.Module) -> Callable[..., tuple[Floats, ...]]:
    module.eval()

    def run(*arrays: NDArray[Any]) -> tuple[Floats, ...]:
        with torch.inference_mode():
            answer = module(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))
        tensors = answer if isinstance(answer, tuple) else (answer,)
        return tuple(tensor.numpy() for tensor in tensors)

    return run


def _text_encoder(
    run: Callable[..., tuple[Floats, ...]], names: tuple[str, ...]
) -> Callable[[NDArray[np.int64]], dict[str, Floats]]:
    return lambda ids: dict(zip(names, run(ids), strict=True))


def _text_outputs(architecture: Architecture, suffix: str) -> tuple[str, ...]:
    if suffix == "text_encoder_3":
        return ("last_hidden_state",)
    if architecture == "sd":
        return ("last_hidden_state", "clip_skip_hidden_state")
    if architecture == "sdxl" and suffix == "text_encoder":
        return ("penultimate_hidden_state",)
    return ("penultimate_hidden_state", "pooled")
