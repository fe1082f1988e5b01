"""Colours for regions: any number of them, neighbours in the list far apart. Knows no picture."""

import colorsys

import numpy as np
from numpy.typing import NDArray

# Steps of the golden ratio never meet an earlier hue, and keep every new one far from those before it.
_GOLDEN = 0.618033988749895
_FIRST_HUE = 0.58
# Hues run out before regions do: every turn of the list has another lightness.
_LIGHTNESSES = (0.55, 0.40, 0.70)
_A_TURN = 12


def colours(count: int) -> NDArray[np.uint8]:
    """(count, 3), the same for the same number of a region on every call."""
    shades = [_shade(number) for number in range(count)]
    return np.array(shades, dtype=np.float64).reshape(-1, 3).round().astype(np.uint8)


def _shade(number: int) -> tuple[float, float, float]:
    hue = (_FIRST_HUE + number * _GOLDEN) % 1
    lightness = _LIGHTNESSES[number // _A_TURN % len(_LIGHTNESSES)]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.9)
    return red * 255, green * 255, blue * 255
