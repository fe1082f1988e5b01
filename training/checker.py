"""The plain pixel checker: which things a picture shows, and on which background.

It is the ground truth for generated and reconstructed pictures, so it is no network and learns nothing: segment by
hue, compare outlines with the world's shapes. What resembles no shape is found, but has no shape (`None`).
"""

import colorsys
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.components import components
from training.drawing import PLAIN_GRAY, RGB, Masks, Pixels, coverage
from training.scene import (
    COLOURS,
    SHAPES,
    SMALLEST_LARGE_PX,
    Background,
    Colour,
    Shape,
    Size,
)

LEAST_SATURATION = 60  # highest minus lowest of R, G, B: edges blend into gray backgrounds
LEAST_AREA_PX = 100  # the smallest thing, a star of 30 px, covers 270
LEAST_LIKENESS = 0.78  # intersection over union with a shape's own outline
_TEMPLATE_PX = 32
_PLAIN_DEVIATION = 12.0
_NEIGHBOURHOOD_PX = 3


@dataclass(frozen=True, slots=True)
class Found:
    colour: Colour
    shape: Shape | None
    size: Size
    x: float
    y: float
    mask: Masks  # (height, width)


@dataclass(frozen=True, slots=True)
class Answer:
    things: tuple[Found, ...]  # largest first
    background: Background


def check(pixels: Pixels) -> Answer:
    """Look at one RGB picture: (height, width, 3) uint8."""
    colours = colour_map(pixels)
    masks = [
        mask
        for index in np.unique(colours[colours >= 0])
        for mask in components(colours == index)
        if mask.sum() >= LEAST_AREA_PX
    ]
    masks.sort(key=lambda mask: -int(mask.sum()))
    things = tuple(_identify(mask, colours) for mask in masks)
    return Answer(things, background_of(pixels, colours < 0))


def colour_map(pixels: Pixels) -> NDArray[np.int8]:
    """For each pixel the index of its colour in COLOURS, or -1 where it is gray: (height, width)."""
    values = pixels.astype(np.int16)
    saturation = values.max(axis=2) - values.min(axis=2)
    hues = _hue(values, np.maximum(saturation, 1))
    distance = np.abs((hues[..., None] - _colour_hues() + 0.5) % 1 - 0.5)
    nearest: NDArray[np.int8] = distance.argmin(axis=2).astype(np.int8)
    nearest[saturation < LEAST_SATURATION] = -1
    return nearest


def background_of(pixels: Pixels, is_gray: Masks) -> Background:
    """Plain or textured, from the gray pixels away from every thing."""
    far = ~_grown(~is_gray, _NEIGHBOURHOOD_PX)
    gray = pixels.mean(axis=2)
    values = gray[far] if far.any() else gray.ravel()
    if values.std() < _PLAIN_DEVIATION:
        return min(PLAIN_GRAY, key=lambda name: abs(PLAIN_GRAY[name] - float(np.median(values))))
    return _texture_of(gray, far)


def _texture_of(gray: NDArray[np.float64], far: Masks) -> Background:
    """Stripes: the row tells the gray. Checks: half is dark. Dots: less is."""
    middle = (np.percentile(gray[far], 2) + np.percentile(gray[far], 98)) / 2
    dark = (gray < middle) & far
    share = dark.sum(axis=1) / np.maximum(far.sum(axis=1), 1)
    if np.mean(np.abs(share - 0.5) > 0.35) > 0.6 and 0.3 < dark.sum() / far.sum() < 0.7:
        return "striped"
    return "checkered" if dark.sum() / far.sum() > 0.33 else "dotted"


def _identify(mask: Masks, colours: NDArray[np.int8]) -> Found:
    rows, columns = np.nonzero(mask)
    top, bottom = int(rows.min()), int(rows.max()) + 1
    left, right = int(columns.min()), int(columns.max()) + 1
    longest = max(bottom - top, right - left)
    return Found(
        colour=COLOURS[int(np.bincount(colours[mask]).argmax())],
        shape=shape_of(mask[top:bottom, left:right]),
        size="large" if longest >= SMALLEST_LARGE_PX else "small",
        x=(left + right) / 2,
        y=(top + bottom) / 2,
        mask=mask,
    )


def shape_of(outline: Masks) -> Shape | None:
    """The world's shape most like this one, which is cut to its bounding box."""
    height, width = outline.shape
    if max(height, width) > 1.4 * min(height, width):
        return None
    seen = _to_template(outline)
    likeness = {shape: _overlap(seen, _template(shape)) for shape in SHAPES}
    best = max(likeness, key=lambda shape: likeness[shape])
    return best if likeness[best] >= LEAST_LIKENESS else None


@cache
def _template(shape: Shape) -> Masks:
    drawn = coverage(shape, 58) >= 0.5
    rows, columns = np.nonzero(drawn)
    cut = drawn[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return _to_template(cut)


def _to_template(outline: Masks) -> Masks:
    picture = Image.fromarray(outline.astype(np.uint8) * 255)
    resized = picture.resize((_TEMPLATE_PX, _TEMPLATE_PX), Image.Resampling.BILINEAR)
    return np.asarray(resized) >= 128


def _overlap(one: Masks, other: Masks) -> float:
    return float((one & other).sum() / (one | other).sum())


def _hue(values: NDArray[np.int16], saturation: NDArray[np.int16]) -> NDArray[np.float64]:
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    highest = values.max(axis=2)
    sixths = np.where(
        highest == red,
        (green - blue) / saturation,
        np.where(highest == green, 2 + (blue - red) / saturation, 4 + (red - green) / saturation),
    )
    return sixths / 6 % 1


@cache
def _colour_hues() -> NDArray[np.float64]:
    return np.array([colorsys.rgb_to_hsv(*(v / 255 for v in RGB[name]))[0] for name in COLOURS])


def _grown(mask: Masks, by_px: int) -> Masks:
    """The mask and everything that lies so near to it."""
    grown = mask.copy()
    for _ in range(by_px):
        wider = grown.copy()
        wider[1:] |= grown[:-1]
        wider[:-1] |= grown[1:]
        wider[:, 1:] |= grown[:, :-1]
        wider[:, :-1] |= grown[:, 1:]
        grown = wider
    return grown
