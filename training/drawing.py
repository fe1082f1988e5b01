"""Draw a scene: 128 x 128 RGB pixels and one exact mask for each thing.

Shapes are drawn once for each size, eight times too large, and shrunk: smooth edges at the price of a
table look-up, so thousands of scenes are drawn in a second.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.scene import CANVAS_PX, Background, Colour, Scene, Shape, Thing

Pixels = NDArray[np.uint8]
Masks = NDArray[np.bool_]
Points = list[tuple[float, float]]

RGB: dict[Colour, tuple[int, int, int]] = {
    "red": (220, 30, 30),
    "orange": (245, 140, 20),
    "yellow": (240, 220, 30),
    "green": (30, 165, 60),
    "cyan": (30, 205, 220),
    "blue": (35, 65, 215),
    "purple": (130, 40, 190),
    "pink": (245, 100, 180),
}
PLAIN_GRAY: dict[Background, int] = {"white": 240, "gray": 128, "black": 24}
TEXTURE_LIGHT, TEXTURE_DARK = 205, 150
TEXTURE_PERIOD_PX = 16
_OVERSAMPLING = 8


@dataclass(frozen=True, slots=True)
class Drawing:
    pixels: Pixels  # (128, 128, 3)
    masks: Masks  # (things, 128, 128)


def draw(scene: Scene) -> Drawing:
    pixels = _background(scene)
    masks = np.zeros((len(scene.things), CANVAS_PX, CANVAS_PX), dtype=bool)
    for thing, mask in zip(scene.things, masks, strict=True):
        _paint(pixels, mask, thing)
    return Drawing(pixels, masks)


def _paint(pixels: Pixels, mask: Masks, thing: Thing) -> None:
    left, top = corner(thing)
    here = np.s_[top : top + thing.size_px, left : left + thing.size_px]
    cover = coverage(thing.shape, thing.size_px)
    ink = np.clip(np.add(RGB[thing.colour], thing.shade), 0, 255).astype(np.float32)
    under = pixels[here]
    pixels[here] = under + cover[..., None] * (ink - under) + 0.5
    mask[here] = cover >= 0.5


def corner(thing: Thing) -> tuple[int, int]:
    """The left and top pixel of the square in which the thing is drawn."""
    return thing.x - thing.size_px // 2, thing.y - thing.size_px // 2


@cache
def coverage(shape: Shape, size_px: int) -> NDArray[np.float32]:
    """How much of each pixel the shape covers, 0 to 1: (size, size)."""
    large_px = size_px * _OVERSAMPLING
    canvas = Image.new("L", (large_px, large_px), 0)
    outline = [(x * large_px, y * large_px) for x, y in OUTLINES[shape]]
    ImageDraw.Draw(canvas).polygon(outline, fill=255)
    small = canvas.resize((size_px, size_px), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / 255


def _circle() -> Points:
    angles = (2 * math.pi * step / 96 for step in range(96))
    return [(0.5 + 0.49 * math.cos(angle), 0.5 + 0.49 * math.sin(angle)) for angle in angles]


def _star() -> Points:
    points = []
    for step in range(10):
        radius = 0.52 if step % 2 == 0 else 0.22
        angle = math.pi * step / 5 - math.pi / 2
        points.append((0.5 + radius * math.cos(angle), 0.53 + radius * math.sin(angle)))
    return points


def _heart() -> Points:
    points = []
    for step in range(96):
        t = 2 * math.pi * step / 96
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((0.5 + x / 33, 0.45 - y / 33))
    return points


def _cross(arm: float = 0.33) -> Points:
    a, b, near, far = 0.01, 0.99, 0.5 - arm / 2, 0.5 + arm / 2
    top = [(near, near), (near, a), (far, a), (far, near)]
    right_and_bottom = [(b, near), (b, far), (far, far), (far, b), (near, b), (near, far)]
    return top + right_and_bottom + [(a, far), (a, near)]


OUTLINES: dict[Shape, Points] = {
    "circle": _circle(),
    "square": [(0.06, 0.06), (0.94, 0.06), (0.94, 0.94), (0.06, 0.94)],
    "triangle": [(0.5, 0.04), (1.0, 0.94), (0.0, 0.94)],
    "star": _star(),
    "heart": _heart(),
    "cross": _cross(),
}


def _background(scene: Scene) -> Pixels:
    if scene.background in PLAIN_GRAY:
        gray = PLAIN_GRAY[scene.background]
        return np.full((CANVAS_PX, CANVAS_PX, 3), gray, dtype=np.uint8)
    right, down = scene.phase
    texture = _texture(scene.background)
    return texture[down : down + CANVAS_PX, right : right + CANVAS_PX].copy()


@cache
def _texture(background: Background) -> Pixels:
    """One period larger than the canvas, so that every phase is a slice of it."""
    steps = np.arange(CANVAS_PX + TEXTURE_PERIOD_PX)
    rows, columns = steps[:, None], steps[None, :]
    half = TEXTURE_PERIOD_PX // 2
    odd_row, odd_column = rows // half % 2 == 1, columns // half % 2 == 1
    if background == "striped":
        dark = odd_row | np.zeros_like(odd_column)
    elif background == "checkered":
        dark = odd_row ^ odd_column
    else:
        centre = half - 0.5
        down, right = rows % TEXTURE_PERIOD_PX - centre, columns % TEXTURE_PERIOD_PX - centre
        dark = down**2 + right**2 <= 3.6**2
    gray = np.where(dark, TEXTURE_DARK, TEXTURE_LIGHT).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)
