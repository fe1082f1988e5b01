"""The pictures a request brings, as latents: the original, the original with the masked part hidden, and the mask.

Each is encoded once for all pictures of the request; each row then takes a sample of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelcore.diffusion.networks import Floats, LatentFacts
from modelcore.diffusion.noise import NoiseSource

EncodePicture = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Encoded:
    """A picture as the autoencoder sees it: a cloud of latents, (channels, h, w) each."""

    mean: Floats
    deviation: Floats

    def sample(self, noise: NoiseSource) -> Floats:
        return self.mean + self.deviation * noise.draw(self.mean.shape)


@dataclass(frozen=True)
class Originals:
    picture: Encoded | None
    mask: Floats | None  # (1, h, w): 1 = paint here
    masked: Encoded | None  # for inpainting denoisers alone: others never look at it


def encode_originals(
    picture: NDArray[np.uint8] | None,
    mask: Floats | None,
    *,
    size: tuple[int, int],
    encode: EncodePicture,
    facts: LatentFacts,
) -> Originals:
    """`size` is the wanted picture's (width, height), which the picture and the mask have already."""
    width, height = size
    pixels = None if picture is None else _normalised(picture)
    if mask is None and facts.is_inpainting:
        # Such a denoiser paints from nothing too, once it is told that everything is masked.
        mask = np.ones((height, width), dtype=np.float32)
    decided = None if mask is None else (mask >= 0.5).astype(np.float32)
    masked = None
    if decided is not None and facts.is_inpainting:
        masked = _encoded(_hidden(pixels, decided), encode)
    return Originals(
        picture=None if pixels is None else _encoded(pixels, encode),
        mask=None if decided is None else _shrunk(decided, facts.pixels_per_cell),
        masked=masked,
    )


def _normalised(picture: NDArray[np.uint8]) -> Floats:
    """(h, w, 3) bytes -> (3, h, w), -1 to 1."""
    channels = np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32)
    return channels / np.float32(255) * np.float32(2) - np.float32(1)


def _hidden(pixels: Floats | None, mask: Floats) -> Floats:
    """Grey where something is to be painted."""
    nothing = np.zeros((3, *mask.shape), dtype=np.float32)
    return nothing if pixels is None else np.where(mask < 0.5, pixels, nothing)


def _shrunk(mask: Floats, factor: int) -> Floats:
    """One value per latent cell, that of its first pixel: diffusers' nearest neighbour."""
    return np.ascontiguousarray(mask[None, ::factor, ::factor])


def _encoded(pixels: Floats, encode: EncodePicture) -> Encoded:
    mean, deviation = encode(pixels[None])
    return Encoded(mean[0], deviation[0])
