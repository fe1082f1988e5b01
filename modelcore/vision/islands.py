"""Small islands and small holes of masks, removed as Meta's generator publishes it, on runs instead of pixels.

Pixels that touch at a corner belong together, in islands and in holes alike. Where every island is small, the largest
stays.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from modelcore.vision.runs import Indices, Runs


def without_small_regions(runs: Runs, least_area: int) -> tuple[Runs, NDArray[np.bool_]]:
    """Holes, then islands, with fewer pixels than `least_area`; and which of the masks changed."""
    holes = complement(runs)
    is_small = ~_is_large(holes, least_area)
    filled = _joined(runs, _kept(holes, is_small))
    is_kept = _is_large(filled, least_area)
    changed = np.zeros(runs.count, np.bool_)
    changed[holes.mask[is_small]] = True
    changed[filled.mask[~is_kept]] = True
    return _kept(filled, is_kept | _is_largest_of_small(filled, is_kept)), changed


def complement(runs: Runs) -> Runs:
    """What is outside of each mask, column by column."""
    columns = np.arange(runs.count * runs.width)
    owner = runs.mask * runs.width + runs.start // runs.height
    base = (columns % runs.width) * runs.height
    # Every column's foot and head are edges too, which the runs' own edges turn into gaps.
    column = np.concatenate([columns, owner])
    start = np.concatenate([base, runs.stop])
    stop = np.concatenate([base + runs.height, runs.start])
    order = np.lexsort((start, column))
    starts = start[order]
    stops = stop[np.lexsort((stop, column))]
    kept = starts < stops
    mask = column[order] // runs.width
    return replace(runs, mask=mask[kept], start=starts[kept], stop=stops[kept])


def components(runs: Runs, *, by_corners: bool) -> Indices:
    """For each run a number that it shares with all that it touches, at the least by a corner or only by sides."""
    one, other = _touching(runs, int(by_corners))
    label = np.arange(len(runs.mask))
    while True:
        least = np.minimum(label[one], label[other])
        before = label.copy()
        # A component's label points to another component's once they are known to touch.
        np.minimum.at(label, before[one], least)
        np.minimum.at(label, before[other], least)
        while (label != label[label]).any():
            label = label[label]
        if (label == before).all():
            return label


def _touching(runs: Runs, reach: int) -> tuple[Indices, Indices]:
    """Pairs of runs in neighbouring columns of one mask, no further apart than a step to the side and `reach` along."""
    height = runs.height
    # Columns are set apart by one pixel, and masks by one column, so that no corner reaches across.
    column = runs.mask * (runs.width + 1) + runs.start // height
    start = column * (height + 2) + runs.start % height
    stop = start + runs.stop - runs.start
    next_column = height + 2
    first = np.searchsorted(stop, start + next_column + 1 - reach, side="left")
    last = np.searchsorted(start, stop + next_column - 1 + reach, side="right")
    each = last - first
    one = np.repeat(np.arange(len(start)), each)
    within = np.arange(len(one)) - np.repeat(np.cumsum(each) - each, each)
    return one, np.repeat(first, each) + within


def _areas(runs: Runs, label: Indices) -> Indices:
    """For each run the area of its component."""
    area = np.bincount(label, (runs.stop - runs.start).astype(np.float64), len(label))
    return area[label].astype(np.int64)


def _is_large(runs: Runs, least_area: int) -> NDArray[np.bool_]:
    return np.asarray(_areas(runs, components(runs, by_corners=True)) >= least_area)


def _is_largest_of_small(runs: Runs, is_kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The runs of the largest island, in masks that have small ones only; the first of equals."""
    label = components(runs, by_corners=True)
    order = np.lexsort((label, -_areas(runs, label), runs.mask))
    _, first = np.unique(runs.mask[order], return_index=True)
    has_large = np.bincount(runs.mask[is_kept], minlength=runs.count) > 0
    largest = order[first]
    chosen = label[largest][~has_large[runs.mask[largest]]]
    return np.isin(label, chosen)


def _kept(runs: Runs, which: NDArray[np.bool_]) -> Runs:
    return replace(runs, mask=runs.mask[which], start=runs.start[which], stop=runs.stop[which])


def _joined(one: Runs, other: Runs) -> Runs:
    """Both together; they do not overlap, but may touch."""
    mask = np.concatenate([one.mask, other.mask])
    start = np.concatenate([one.start, other.start])
    stop = np.concatenate([one.stop, other.stop])
    order = np.lexsort((start, mask))
    mask, start, stop = mask[order], start[order], stop[order]
    same_column = start[1:] // one.height == start[:-1] // one.height
    touching = np.flatnonzero((mask[1:] == mask[:-1]) & same_column & (start[1:] == stop[:-1]))
    return replace(
        one, mask=np.delete(mask, touching), start=np.delete(start, touching + 1), stop=np.delete(stop, touching)
    )
