"""A family's networks as functions over arrays, and the few facts about them that the arithmetic depends on.

Knows nothing of where they run: Triton, ONNX Runtime or torch. Rows of a call are independent of each other, and
latents are everywhere the denoiser's own: scaling and shift are inside the two halves of the autoencoder.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelcore.contract import Architecture
from modelcore.errors import SetupProblem

Floats = NDArray[np.float32]
EncodeText = Callable[[NDArray[np.int64]], dict[str, Floats]]
Denoise = Callable[[dict[str, Floats]], Floats]


@dataclass(frozen=True)
class Networks:
    encode_text: tuple[EncodeText, ...]  # one per text encoder: (rows, length) ids -> its named outputs
    denoise: Denoise  # named inputs, all with the same first dimension -> (rows, channels, h, w), the noise
    encode_picture: Callable[[Floats], tuple[Floats, Floats]]  # (rows, 3, H, W), -1 to 1 -> mean, deviation
    decode_latents: Callable[[Floats], Floats]  # (rows, channels, h, w) -> (rows, 3, H, W)


@dataclass(frozen=True)
class LatentFacts:
    """What a family's own config files say of its latents and of its denoiser."""

    architecture: Architecture
    channels: int  # of latents: 4, sd3's 16
    pixels_per_cell: int  # of a picture's side per latent cell: 8, but for tests' small families
    denoiser_channels: int  # 4 or 16 as the latents; 9 = latents, mask, masked picture: an inpainting UNet
    # A consistency model is told its guidance inside the graph; a second one on top would spoil it.
    is_guidance_distilled: bool = False

    @property
    def is_inpainting(self) -> bool:
        """Whether the denoiser reads a mask and a masked picture beside the latents."""
        return self.denoiser_channels == 2 * self.channels + 1

    def shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Of a picture's latents: channels, height, width."""
        return self.channels, height // self.pixels_per_cell, width // self.pixels_per_cell


def latent_facts(
    architecture: Architecture, denoiser_config: Mapping[str, object], vae_config: Mapping[str, object]
) -> LatentFacts:
    """From the config.json of the unet (or transformer) and of the vae, as the hub's layout has them."""
    levels = vae_config["block_out_channels"]
    channels, denoiser_channels = vae_config["latent_channels"], denoiser_config["in_channels"]
    assert isinstance(levels, list | tuple)
    assert isinstance(channels, int)
    assert isinstance(denoiser_channels, int)
    if denoiser_channels not in (channels, 2 * channels + 1):
        raise SetupProblem(
            f"the denoiser must read {channels} channels (latents) or {2 * channels + 1} (mask and masked picture): "
            f"{denoiser_channels}; kinds that read other things beside the latents cannot be served"
        )
    return LatentFacts(
        architecture=architecture,
        channels=channels,
        pixels_per_cell=int(2 ** (len(levels) - 1)),
        denoiser_channels=denoiser_channels,
        is_guidance_distilled=denoiser_config.get("time_cond_proj_dim") is not None,
    )
