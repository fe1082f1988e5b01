"""Weights of words, put into what a text encoder said of them.

As AUTOMATIC1111 does it by default: each token's vector times its weight, then all of the chunk scaled so that its mean
is what it was. With one difference. Where the tokens' means cancel out, the mean says nothing: its ratio may be huge or
negative, and would drown or invert the text (its users know this of SDXL). Where they do not cancel out, that ratio
always lies between 1 / the largest weight and 1 / the smallest; so ours is kept there.
"""

import numpy as np
from numpy.typing import NDArray

_LEAST_WEIGHT = 0.1  # a word of weight 0 must not allow any factor


def emphasised(hidden: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """One chunk: (length, width) and (length,)."""
    if (weights == 1).all():
        return hidden
    weighted = hidden * weights[:, None]
    return weighted * _restoring(hidden, weighted, weights)


def _restoring(hidden: NDArray[np.float32], weighted: NDArray[np.float32], weights: NDArray[np.float32]) -> np.float32:
    mean, new_mean = hidden.mean(dtype=np.float64), weighted.mean(dtype=np.float64)
    if new_mean == 0:
        return np.float32(1)
    least, most = max(float(weights.min()), _LEAST_WEIGHT), float(weights.max())
    return np.float32(np.clip(mean / new_mean, 1 / most, 1 / least))
