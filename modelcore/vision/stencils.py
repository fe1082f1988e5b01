"""A region's mask as drawing wants it: only what lies in its box. Knows arrays, neither colours nor encodings.

A mask of a whole picture has millions of pixels, nearly all of them outside; a hundred masks do not fit in memory,
a hundred boxes do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]  # (height, width, 3)
_INNER_PX = 96  # the grid on which a mask's middle is looked for


@dataclass(frozen=True)
class Stencil:
    left: int
    top: int
    mask: Mask  # (height, width) of the box

    @property
    def here(self) -> tuple[slice, slice]:
        """The box, as an index into the picture's rows and columns."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def stencil_of(mask: Mask, box: tuple[int, int, int, int]) -> Stencil:
    """From a mask of the whole picture; the box is left, top, width, height."""
    left, top, width, height = box
    return Stencil(left, top, mask[top : top + height, left : left + width].copy())


def scaled(stencil: Stencil, old: tuple[int, int], new: tuple[int, int]) -> Stencil:
    """As it lies in the picture resized from `old` to `new` (width, height). What would vanish keeps one pixel."""
    columns, left = _looked_up(stencil.left, stencil.mask.shape[1], old[0], new[0])
    rows, top = _looked_up(stencil.top, stencil.mask.shape[0], old[1], new[1])
    return Stencil(left, top, stencil.mask[rows][:, columns])


def label_map(stencils: Sequence[Stencil], size: tuple[int, int]) -> NDArray[np.int32]:
    """(height, width): which region each pixel shows, counted from 1, or 0. Smaller ones lie on top of larger ones."""
    labels = np.zeros((size[1], size[0]), dtype=np.int32)
    areas = [np.count_nonzero(stencil.mask) for stencil in stencils]
    for index in np.argsort(areas, kind="stable")[::-1]:
        stencil = stencils[index]
        labels[stencil.here][stencil.mask] = index + 1
    return labels


def outline(labels: NDArray[np.int32], thickness_px: int) -> Mask:
    """Pixels of regions within `thickness_px` of another region or of none, or of the picture's edge."""
    framed = np.pad(labels, 1, constant_values=-1)
    centre = framed[1:-1, 1:-1]
    edge = (centre != framed[:-2, 1:-1]) | (centre != framed[2:, 1:-1])
    edge |= (centre != framed[1:-1, :-2]) | (centre != framed[1:-1, 2:])
    for _ in range(thickness_px - 1):
        edge = _grown(edge)
    drawn: Mask = edge & (labels > 0)
    return drawn


def inner_point(stencil: Stencil) -> tuple[int, int]:
    """x and y of a pixel of the region, as far from its edge as can be: where a number is read best."""
    step = max(1, -(-max(stencil.mask.shape) // _INNER_PX))
    coarse = stencil.mask[step // 2 :: step, step // 2 :: step]
    if not coarse.any():
        coarse, step = stencil.mask, 1
    room = np.minimum.reduce([_run_length(coarse, axis, turn) for axis in (0, 1) for turn in (1, -1)])
    row, column = np.unravel_index(int(room.argmax()), room.shape)
    offset = step // 2
    return stencil.left + int(column) * step + offset, stencil.top + int(row) * step + offset


def _looked_up(start: int, length: int, old: int, new: int) -> tuple[NDArray[np.int64], int]:
    """Where in the old box each new pixel's centre lies, and where the first new pixel lies. Whole numbers: exact."""
    sources = (2 * np.arange(new) + 1) * old // (2 * new)
    first, end = np.searchsorted(sources, (start, start + length)).tolist()
    first = min(first, new - 1)
    return np.clip(sources[first : max(end, first + 1)] - start, 0, length - 1), first


def _grown(mask: Mask) -> Mask:
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _run_length(mask: Mask, axis: int, turn: int) -> NDArray[np.int32]:
    """How many pixels of the region lie on this side of each, itself included; 0 beside the region."""
    lined = np.moveaxis(mask, axis, 0)[::turn]
    steps = np.arange(1, len(lined) + 1, dtype=np.int32)[:, None]
    last_gap = np.maximum.accumulate(np.where(lined, 0, steps), axis=0)
    return np.moveaxis((steps - last_gap)[::turn], 0, axis)
