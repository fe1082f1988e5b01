"""A small picture of latents without the decoder: one matrix from latent channels to colours, microseconds instead of
a network's call. Right in colour and place, coarse in everything else.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modelcore.contract import Architecture
from modelcore.diffusion.networks import Floats
from modelcore.preview_colours import PreviewColours

ENLARGED = 4  # pixels of a side for each latent cell

# InvokeAI's measurements (Apache-2.0, invokeai/app/util/step_callback.py), rounded. Families of one architecture
# share their autoencoder, or nearly; a family with its own says so in its file, [preview].
_KNOWN: Mapping[Architecture, PreviewColours] = {
    "sd": PreviewColours(
        (
            (0.3444, 0.1385, 0.0670),
            (0.1247, 0.4027, 0.1494),
            (-0.3192, 0.2513, 0.2103),
            (-0.1307, -0.1874, -0.7445),
        )
    ),
    "sdxl": PreviewColours(
        (
            (0.3816, 0.4930, 0.5320),
            (-0.3753, 0.1631, 0.1739),
            (0.1770, 0.3588, -0.2048),
            (-0.4350, -0.2644, -0.4289),
        )
    ),
    "sd3": PreviewColours(
        (
            (-0.0524, 0.0325, 0.0749),
            (-0.0581, 0.0076, 0.0573),
            (0.1614, 0.0127, -0.0377),
            (0.1442, 0.0846, 0.1594),
            (0.0489, 0.0056, -0.0669),
            (0.0519, 0.1922, 0.0626),
            (0.1539, 0.0482, 0.0710),
            (-0.0860, 0.0901, 0.1089),
            (-0.1240, -0.0677, 0.0034),
            (-0.0440, 0.0783, 0.0226),
            (0.0310, 0.0638, 0.0775),
            (-0.0132, 0.0855, -0.0877),
            (0.0646, 0.0591, 0.1326),
            (-0.0786, -0.0226, -0.1276),
            (-0.0992, -0.0801, -0.0626),
            (-0.0339, -0.0804, -0.0608),
        )
    ),
}


class LatentPreview:
    """For one family. Called with (channels, h, w) as the denoiser has them; answers (4h, 4w, 3) bytes."""

    def __init__(self, architecture: Architecture, colours: PreviewColours | None = None) -> None:
        wanted = colours or _KNOWN[architecture]
        self._matrix = np.array(wanted.latent_to_rgb, dtype=np.float32)
        self._bias = np.array(wanted.bias, dtype=np.float32)

    def __call__(self, latents: Floats) -> NDArray[np.uint8]:
        height, width = latents.shape[1:]
        small = Image.fromarray(self._pixels(latents))
        return np.asarray(small.resize((ENLARGED * width, ENLARGED * height), Image.Resampling.BICUBIC))

    def _pixels(self, latents: Floats) -> NDArray[np.uint8]:
        """(h, w, 3), a pixel for each latent cell."""
        colours = np.tensordot(latents, self._matrix, axes=(0, 0)) + self._bias
        pixels: NDArray[np.uint8] = (np.clip(colours / 2 + 0.5, 0, 1) * 255).round().astype(np.uint8)
        return pixels
