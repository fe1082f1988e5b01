"""One picture that shows every region: tinted, outlined and numbered. Knows pixels, no model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from modelcore.vision.palette import colours
from modelcore.vision.stencils import Pixels, Stencil, inner_point, label_map, outline

_TINT = 0.45
_OUTLINE_SHARE = 1 / 400  # of the picture's longer side
_NUMBER_SHARE = 1 / 28
_SMALLEST_NUMBER_PX = 12


def overlay(pixels: Pixels, stencils: Sequence[Stencil]) -> Pixels:
    """Regions are numbered as they come, from 0; where two overlap, the smaller one is seen."""
    height, width = pixels.shape[:2]
    labels = label_map(stencils, (width, height))
    inks = colours(len(stencils))
    drawn = _tinted(pixels, labels, inks)
    edge = outline(labels, max(1, round(max(width, height) * _OUTLINE_SHARE)))
    drawn[edge] = inks[labels[edge] - 1]
    return _numbered(drawn, [_visible(labels, number, stencil) for number, stencil in enumerate(stencils)])


def _visible(labels: NDArray[np.int32], number: int, stencil: Stencil) -> Stencil:
    """A number belongs where its region can be seen, not on a smaller one that lies on top."""
    return Stencil(stencil.left, stencil.top, labels[stencil.here] == number + 1)


def _tinted(pixels: Pixels, labels: NDArray[np.int32], inks: NDArray[np.uint8]) -> Pixels:
    drawn = pixels.copy()
    inside = labels > 0
    under, ink = pixels[inside].astype(np.float32), inks[labels[inside] - 1].astype(np.float32)
    drawn[inside] = (under + _TINT * (ink - under)).round().astype(np.uint8)
    return drawn


def _numbered(drawn: Pixels, stencils: Sequence[Stencil]) -> Pixels:
    """Nothing is written on a region of which nothing is seen."""
    picture = Image.fromarray(drawn)
    pen = ImageDraw.Draw(picture)
    size_px = max(_SMALLEST_NUMBER_PX, round(max(picture.size) * _NUMBER_SHARE))
    font = ImageFont.load_default(size_px)
    halo = max(1, size_px // 10)
    for number, stencil in enumerate(stencils):
        if stencil.mask.any():
            place = inner_point(stencil)
            pen.text(place, str(number), fill="white", font=font, anchor="mm", stroke_width=halo, stroke_fill="black")
    return np.asarray(picture)
