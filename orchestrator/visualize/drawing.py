"""Regions drawn and encoded, at the size of a screen. Slow and without state: belongs in threads."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modelcore.vision.cutout import cutout
from modelcore.vision.overlay import overlay
from modelcore.vision.spotlight import dimmed, spotlight
from modelcore.vision.stencils import Pixels, Stencil, scaled
from orchestrator.pictures.picture import Picture
from orchestrator.pictures.regions import FoundRegions

Format = Literal["png", "jpeg"]

# PNG a little larger than at its default, and made several times faster; JPEG is made twenty times as fast again, at
# a tenth of the bytes (docs/log.md).
_OPTIONS: dict[Format, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 1},
    "jpeg": {"format": "JPEG", "quality": 90, "subsampling": 0},
}


@dataclass(frozen=True)
class Canvas:
    """A picture and its regions at the size in which they are drawn."""

    pixels: Pixels
    darker: Pixels
    stencils: Sequence[Stencil]
    format: Format

    def overlay(self) -> bytes:
        return _encoded(overlay(self.pixels, self.stencils), self.format)

    def spotlight(self, region: int) -> bytes:
        return _encoded(spotlight(self.pixels, self.darker, self.stencils[region]), self.format)

    def cutout(self, region: int) -> bytes:
        """Always PNG: JPEG knows no transparency."""
        return _encoded(cutout(self.pixels, self.stencils[region]), "png")


def canvas(picture: Picture, found: FoundRegions, longest_px: int, kind: Format) -> Canvas:
    """Never larger than the picture itself."""
    old = (picture.width_px, picture.height_px)
    shrink = min(1.0, longest_px / max(old))
    new = (max(1, round(old[0] * shrink)), max(1, round(old[1] * shrink)))
    image = picture.decoded()
    pixels = np.asarray(image if new == old else image.resize(new, Image.Resampling.LANCZOS))
    return Canvas(pixels, dimmed(pixels), [scaled(stencil, old, new) for stencil in found.stencils()], kind)


def _encoded(pixels: NDArray[np.uint8], kind: Format) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, **_OPTIONS[kind])
    return buffer.getvalue()
