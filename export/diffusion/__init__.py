"""Stable Diffusion's networks, by architecture: which folder of the hub's layout holds each, and what builds it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from export.diffusion import autoencoder, denoiser, text
from export.network import Network
from modelcore.family import Architecture


@dataclass(frozen=True)
class PartBuilder:
    folder: str  # inside the family's repository on the hub
    build: Callable[[Path], Network]


_AUTOENCODER = {
    "vae_encoder": PartBuilder("vae", autoencoder.encoder),
    "vae_decoder": PartBuilder("vae", autoencoder.decoder),
}
_BUILDERS: dict[Architecture, dict[str, PartBuilder]] = {
    "sd": {
        "text_encoder": PartBuilder("text_encoder", text.clip_of_sd),
        "unet": PartBuilder("unet", denoiser.unet),
        **_AUTOENCODER,
    },
    "sdxl": {
        "text_encoder": PartBuilder("text_encoder", text.clip_of_sdxl),
        "text_encoder_2": PartBuilder("text_encoder_2", text.clip_with_projection),
        "unet": PartBuilder("unet", denoiser.unet_xl),
        **_AUTOENCODER,
    },
    "sd3": {
        "text_encoder": PartBuilder("text_encoder", text.clip_with_projection),
        "text_encoder_2": PartBuilder("text_encoder_2", text.clip_with_projection),
        "text_encoder_3": PartBuilder("text_encoder_3", text.t5),
        "transformer": PartBuilder("transformer", denoiser.transformer),
        **_AUTOENCODER,
    },
}


def builders(architecture: Architecture) -> dict[str, PartBuilder]:
    """By the suffix of the served model's name: `<family>_unet`."""
    return _BUILDERS[architecture]
