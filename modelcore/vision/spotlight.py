"""One region bright in a dimmed picture. Knows pixels, no model."""

import numpy as np

from modelcore.vision.stencils import Pixels, Stencil

_DIMMED = 0.3
_DIMMED_BYTES = (np.arange(256) * _DIMMED).round().astype(np.uint8)


def dimmed(pixels: Pixels) -> Pixels:
    """Once for all spotlights of a picture."""
    darker: Pixels = _DIMMED_BYTES[pixels]
    return darker


def spotlight(pixels: Pixels, darker: Pixels, stencil: Stencil) -> Pixels:
    drawn = darker.copy()
    drawn[stencil.here][stencil.mask] = pixels[stencil.here][stencil.mask]
    return drawn
