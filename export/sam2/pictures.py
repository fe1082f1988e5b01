"""Pictures to prove an export with: flat shapes with sharp edges, which noise has not. Knows no network."""

import random

import numpy as np
import torch
from PIL import Image, ImageDraw

# ImageNet's, which SAM2 was trained with.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SHAPES = 6


def drawn_picture(side_px: int, seed: int) -> torch.Tensor:
    """Ellipses and boxes, normalised: (3, side, side)."""
    rng = random.Random(seed)
    picture = Image.new("RGB", (side_px, side_px), _colour(rng))
    draw = ImageDraw.Draw(picture)
    for number in range(_SHAPES):
        left, top = rng.randrange(side_px // 2), rng.randrange(side_px // 2)
        right, bottom = (corner + rng.randrange(side_px // 8, side_px // 2) for corner in (left, top))
        shape = draw.ellipse if number % 2 else draw.rectangle
        shape((left, top, right, bottom), fill=_colour(rng))
    pixels = (np.asarray(picture, np.float32) / 255 - _MEAN) / _DEVIATION
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)


def _colour(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)
