"""One region alone, everything around it transparent. Knows pixels, no model."""

import numpy as np
from numpy.typing import NDArray

from modelcore.vision.stencils import Pixels, Stencil


def cutout(pixels: Pixels, stencil: Stencil) -> NDArray[np.uint8]:
    """(height, width, 4) of the region's box. What cannot be seen is black too: nothing of it leaves with the rest."""
    alpha = stencil.mask.astype(np.uint8)[..., None]
    return np.concatenate([pixels[stencil.here] * alpha, alpha * np.uint8(255)], axis=2)
