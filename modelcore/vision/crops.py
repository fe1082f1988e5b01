"""Cut regions out of a picture so that CLIP can say what each one is. Knows pixels and masks, no model.

CLIP reads the middle square of what it is given, so a crop is square: a long thing would otherwise lose its ends.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from modelcore.vision.stencils import Stencil

Background = Literal["kept", "blurred", "dropped"]

CROP_PX = 336  # the largest side that a published CLIP reads; more would only be carried about
# CLIP's mean colour: after normalisation it is nothing at all.
_NEUTRAL = (122, 117, 104)
_BLUR_SHARE = 0.1  # of the crop's side


@dataclass(frozen=True)
class CropRule:
    """`padding` is the share of the region's longer side that is added on each side."""

    padding: float
    background: Background


def square_around(stencil: Stencil, padding: float, size: tuple[int, int], *, shifted: bool) -> tuple[int, int, int]:
    """(left, top, side). Shifted into the picture as far as it fits, or left where it is."""
    height, width = stencil.mask.shape
    side = max(1, round(max(width, height) * (1 + 2 * padding)))
    corner = (stencil.left + width / 2 - side / 2, stencil.top + height / 2 - side / 2)
    left, top = (_shifted(start, side, limit) if shifted else start for start, limit in zip(corner, size, strict=True))
    return round(left), round(top), side


def crop_region(picture: Image.Image, stencil: Stencil, rule: CropRule) -> Image.Image:
    """At most CROP_PX on each side."""
    shows_surroundings = rule.background != "dropped"
    left, top, side = square_around(stencil, rule.padding, picture.size, shifted=shows_surroundings)
    square = _Square(left, top, side, min(side, CROP_PX))
    cut = _cut(picture, square)
    if rule.background == "kept":
        return cut
    return Image.composite(cut, _backdrop(cut, rule.background), _share(stencil, square))


@dataclass(frozen=True)
class _Square:
    """Of the picture, and the side that it gets as a crop."""

    left: int
    top: int
    side: int
    crop_px: int

    def placed(self, left: int, top: int, right: int, bottom: int) -> tuple[int, int, int, int]:
        """Where a box of the picture lies in the crop: left, top, width and height, of one pixel at least."""
        x, y = self._scaled(left - self.left), self._scaled(top - self.top)
        return x, y, max(1, self._scaled(right - self.left) - x), max(1, self._scaled(bottom - self.top) - y)

    def _scaled(self, length: int) -> int:
        return round(length * self.crop_px / self.side)


def _cut(picture: Image.Image, square: _Square) -> Image.Image:
    """What lies outside the picture is neutral. Only what is inside is resized: a square may be larger than both."""
    right, bottom = square.left + square.side, square.top + square.side
    inside = (max(square.left, 0), max(square.top, 0), min(right, picture.width), min(bottom, picture.height))
    x, y, width, height = square.placed(*inside)
    shown = picture.resize((width, height), Image.Resampling.BICUBIC, box=inside, reducing_gap=3.0)
    canvas = Image.new("RGB", (square.crop_px, square.crop_px), _NEUTRAL)
    canvas.paste(shown, (x, y))
    return canvas


def _share(stencil: Stencil, square: _Square) -> Image.Image:
    """How much of each of the crop's pixels is the region's."""
    rows, columns = stencil.mask.shape
    x, y, width, height = square.placed(stencil.left, stencil.top, stencil.left + columns, stencil.top + rows)
    shown = Image.fromarray(stencil.mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    canvas = Image.new("L", (square.crop_px, square.crop_px), 0)
    canvas.paste(shown, (x, y))
    return canvas


def _backdrop(cut: Image.Image, background: Background) -> Image.Image:
    if background == "blurred":
        return cut.filter(ImageFilter.GaussianBlur(cut.width * _BLUR_SHARE))
    return Image.new("RGB", cut.size, _NEUTRAL)


def _shifted(start: float, side: int, limit: int) -> float:
    """A square larger than the picture is centred on it."""
    return (limit - side) / 2 if side > limit else min(max(start, 0), limit - side)
