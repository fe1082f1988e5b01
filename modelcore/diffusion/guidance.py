"""Classifier-free guidance: from what the network says without and with the prompt to what the scheduler is told."""

from dataclasses import dataclass

import numpy as np

from modelcore.diffusion.networks import Floats


@dataclass(frozen=True)
class Guidance:
    scale: float
    rescale: float  # 0 = not at all; share of the way back to the contrast the prompt alone would give
    end: float  # share of the steps that are guided, from the first on

    def is_on(self, step: int, steps: int) -> bool:
        return self.scale > 1 and step < self.end * steps


def guided(noise: Floats, guidance: Guidance) -> Floats:
    """(2, channels, h, w), negative then positive -> (channels, h, w)."""
    negative, positive = noise
    mixed = negative + np.float32(guidance.scale) * (positive - negative)
    return _rescaled(mixed, positive, guidance.rescale) if guidance.rescale > 0 else mixed


def _rescaled(mixed: Floats, positive: Floats, share: float) -> Floats:
    """Against washed-out pictures of strong guidance (arXiv 2305.08891, section 3.4), as diffusers computes it."""
    calm = mixed * (positive.std(ddof=1) / mixed.std(ddof=1))
    rescaled: Floats = (share * calm + (1 - share) * mixed).astype(np.float32)
    return rescaled
