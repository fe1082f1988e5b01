"""Samples of the world as the tensors that networks learn from."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training.drawing import Drawing
from training.scene import CANVAS_PX, COLOURS, SHAPES, Scene


def pixels_tensor(drawings: Sequence[Drawing]) -> Tensor:
    """(rows, 3, 128, 128), 0 to 1."""
    stacked = np.stack([drawing.pixels for drawing in drawings])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255


def patch_labels(scene: Scene, drawing: Drawing, patch_px: int, least_cover: float = 0.25) -> np.ndarray:
    """For each patch the colour and the shape of the thing that it mostly shows, 0 for none: (2, n, n)."""
    count = CANVAS_PX // patch_px
    labels = np.zeros((2, count, count), dtype=np.int64)
    covered = np.full((count, count), least_cover, dtype=np.float32)
    for thing, mask in zip(scene.things, drawing.masks, strict=True):
        cover = mask.reshape(count, patch_px, count, patch_px).mean(axis=(1, 3), dtype=np.float32)
        wins = cover > covered
        covered[wins] = cover[wins]
        labels[0][wins] = COLOURS.index(thing.colour) + 1
        labels[1][wins] = SHAPES.index(thing.shape) + 1
    return labels
