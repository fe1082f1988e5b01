"""The outlines of a batch of masks, along pixel edges, all traced at once and none pixel by pixel.

A corner of an outline lies where a run of pixels begins or ends and its neighbour column's does not. Each corner has
one partner on its row and one on its line between two columns, and following partners by turns walks around. Pixels
that touch only at a corner are apart, so that no ring crosses itself; such a place counts as two corners.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelcore.vision.islands import components
from modelcore.vision.rings import Rings
from modelcore.vision.runs import Indices, Runs


@dataclass(frozen=True)
class _Corners:
    """Ends of runs, each seen from the lines at both sides of its column."""

    run: Indices
    mask: Indices
    x: Indices
    y: Indices
    is_start: NDArray[np.bool_]  # of its run, which is above a stop and below a start
    is_left: NDArray[np.bool_]  # of its row's stretch, whose run is to the right of the line


def trace(runs: Runs) -> Rings:
    corners = _corners(runs)
    # On a line two corners after each other are a side. Where four meet, the upper side ends at the upper run's corner.
    down = np.lexsort((corners.is_start, corners.y, corners.x, corners.mask))
    top, bottom = down[::2], down[1::2]
    across = np.lexsort((corners.is_left, corners.x, corners.y, corners.mask))
    partner = np.empty(len(across), np.int64)
    partner[across[::2]], partner[across[1::2]] = across[1::2], across[::2]
    goes_up = corners.is_left[top] == corners.is_start[top]  # with the mask at its right hand
    begin, end = np.where(goes_up, bottom, top), np.where(goes_up, top, bottom)
    side = np.empty(len(down), np.int64)
    side[begin] = np.arange(len(begin))
    order, first = _rounds(side[partner[end]])
    return _rings(runs, corners, begin[order], end[order], first)


def _corners(runs: Runs) -> _Corners:
    column, start = np.divmod(runs.start, runs.height)
    index = np.tile(np.arange(len(column)), 4)
    ends = np.concatenate([start, start + runs.stop - runs.start])
    corners = _Corners(
        run=index,
        mask=runs.mask[index],
        x=np.concatenate([column, column, column + 1, column + 1]),
        y=np.tile(ends, 2),
        is_start=np.tile(np.repeat([True, False], len(column)), 2),
        is_left=np.repeat([True, False], 2 * len(column)),
    )
    # Where both neighbours begin, or both end, the outline goes straight on.
    kind = (corners.mask * (runs.width + 1) + corners.x) * (runs.height + 1) + corners.y
    kind = 2 * kind + corners.is_start
    _, name, times = np.unique(kind, return_inverse=True, return_counts=True)
    kept = times[name] == 1
    return _Corners(*(np.asarray(values)[kept] for values in vars(corners).values()))


def _rounds(following: Indices) -> tuple[Indices, Indices]:
    """All sides, round after round in the order of walking, and where each round begins. By doubled steps."""
    least, step = np.arange(len(following)), following
    while (better := np.minimum(least, least[step])).tobytes() != least.tobytes():
        least, step = better, step[step]
    is_last = following == least  # the next one is where the round begins
    step = np.where(is_last, np.arange(len(following)), following)
    to_go = (~is_last).astype(np.int64)
    while (to_go[step] > 0).any():
        to_go, step = to_go + to_go[step], step[step]
    order = np.lexsort((-to_go, least))
    return order, np.flatnonzero(np.diff(least[order], prepend=-1))


def _rings(runs: Runs, corners: _Corners, begin: Indices, end: Indices, first: Indices) -> Rings:
    walked = np.stack([begin, end], axis=1).reshape(-1)
    x, y = corners.x[walked], corners.y[walked]
    island = components(runs, by_corners=False)[corners.run[begin[first]]]
    # Twice the area to the left of each upright side, which is what the level ones do not change.
    turning = corners.x[begin] * (corners.y[end] - corners.y[begin])
    area = np.add.reduceat(turning, first) if len(first) else turning
    return Rings(
        points=np.stack([x, y], axis=1),
        first=np.append(2 * first, len(walked)),
        mask=corners.mask[begin[first]],
        island=island,
        is_hole=np.asarray(area < 0),
    )
