"""A picture's random numbers: those diffusers draws from `torch.Generator("cpu").manual_seed(seed)`, in their order."""

import numpy as np
import torch
from numpy.typing import NDArray

from modelcore.diffusion.networks import Floats

SEEDS = 2**63  # as many as a signed 64-bit integer holds


class NoiseSource:
    """One per picture. Who draws in another order than diffusers' pipelines gets another picture."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator("cpu").manual_seed(seed)

    def draw(self, shape: tuple[int, ...]) -> Floats:
        drawn: Floats = torch.randn((1, *shape), generator=self.generator).numpy()[0]
        return drawn


def walk(start: Floats, end: Floats, share: float) -> Floats:
    """A share of the way from one noise to another, on the great circle between them.

    A straight line would lead through noise that is too quiet; on the circle it keeps the loudness the denoiser knows.
    """
    angle = _angle(start.astype(np.float64), end.astype(np.float64))
    if angle < 1e-6:  # the same noise, seen from both ends
        return start
    weights = np.sin((1 - share) * angle), np.sin(share * angle)
    mixed: Floats = ((weights[0] * start + weights[1] * end) / np.sin(angle)).astype(np.float32)
    return mixed


def _angle(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    cosine = (one * other).sum() / (np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.arccos(np.clip(cosine, -1, 1)))
