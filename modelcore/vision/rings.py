"""Many rings of corners in one array: fewer corners, and the pixels inside. Knows neither masks' meaning nor JSON."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelcore.vision.runs import Indices, Runs

Points = NDArray[np.int64]


@dataclass(frozen=True)
class Rings:
    """Closed, the first corner not repeated; outer rings turn clockwise on a screen, holes the other way."""

    points: Points  # (corners, 2): x, y in pixels
    first: Indices  # (rings + 1,): where each ring begins, and where the last one ends
    mask: Indices  # (rings,)
    island: Indices  # (rings,): the same for an outer ring and its holes
    is_hole: NDArray[np.bool_]

    def select(self, which: NDArray[np.bool_]) -> "Rings":
        lengths = np.diff(self.first)
        kept = np.repeat(which, lengths)
        first = np.concatenate([[0], np.cumsum(lengths[which])])
        return Rings(self.points[kept], first, self.mask[which], self.island[which], self.is_hole[which])


def concatenate(one: Rings, other: Rings) -> Rings:
    return Rings(
        np.concatenate([one.points, other.points]),
        np.concatenate([one.first, other.first[1:] + one.first[-1]]),
        np.concatenate([one.mask, other.mask]),
        np.concatenate([one.island, other.island]),
        np.concatenate([one.is_hole, other.is_hole]),
    )


def simplified(rings: Rings, tolerance_px: float) -> Rings:
    """Ramer, Douglas and Peucker's way, on all rings at once: what is left out lies within the tolerance of its side.

    A ring that has no corners left to enclose anything is gone.
    """
    lengths = np.diff(rings.first)
    # Each ring with its first corner once more at the end.
    index = np.insert(np.arange(len(rings.points)), rings.first[1:], rings.first[:-1])
    is_end = np.zeros(len(index), np.bool_)
    closing = rings.first[1:] + np.arange(len(lengths))
    is_end[closing] = True
    is_end[closing - lengths] = True
    kept = _farthest_kept(rings.points[index].astype(np.float64), is_end, tolerance_px)
    kept[closing] = False
    kept = np.delete(kept, closing)
    left = np.add.reduceat(kept, rings.first[:-1], dtype=np.int64) if len(lengths) else lengths
    first = np.concatenate([[0], np.cumsum(left)])
    return Rings(rings.points[kept], first, rings.mask, rings.island, rings.is_hole).select(left >= 3)


def _farthest_kept(points: NDArray[np.float64], kept: NDArray[np.bool_], tolerance_px: float) -> NDArray[np.bool_]:
    """Between two kept corners the farthest is kept too, where it is too far; round after round, everywhere at once."""
    kept = kept.copy()
    while True:
        start = np.flatnonzero(kept)
        side = np.cumsum(kept) - 1
        distance = _distances(points, start, side)
        distance[start] = 0
        farthest = np.maximum.reduceat(distance, start) if len(start) else distance
        far = np.flatnonzero((distance == farthest[side]) & (distance > tolerance_px))
        if not len(far):
            return kept
        kept[far[np.flatnonzero(np.diff(side[far], prepend=-1))]] = True


def _distances(points: NDArray[np.float64], start: Indices, side: Indices) -> NDArray[np.float64]:
    """Of each corner to the side, from a kept corner to the next, that would be drawn in its place."""
    begin = points[start]
    along = points[np.append(start[1:], start[-1:])] - begin
    squared = np.maximum((along**2).sum(axis=1), 1e-9)  # a ring with one kept corner: the distance from that
    from_begin = points - begin[side]
    share = np.clip((from_begin * along[side]).sum(axis=1) / squared[side], 0, 1)
    left_over = from_begin - share[:, None] * along[side]
    return np.asarray(np.hypot(left_over[:, 0], left_over[:, 1]))


def rasterise(rings: Rings, height: int, width: int, masks: int) -> Runs:
    """The pixels whose centres lie inside, by the rule of even and odd."""
    following = np.arange(1, len(rings.points) + 1)
    following[rings.first[1:] - 1] = rings.first[:-1]
    near, far = rings.points, rings.points[following]
    left, right = np.minimum(near[:, 0], far[:, 0]), np.maximum(near[:, 0], far[:, 0])
    each = right - left
    side = np.repeat(np.arange(len(near)), each)
    column = left[side] + np.arange(len(side)) - np.repeat(np.cumsum(each) - each, each)
    slope = (far[side, 1] - near[side, 1]) / (far[side, 0] - near[side, 0])
    y = near[side, 1] + (column + 0.5 - near[side, 0]) * slope
    mask = np.repeat(rings.mask, np.diff(rings.first))[side]
    order = np.lexsort((y, column, mask))
    place = column[order] * height + np.ceil(y[order] - 0.5).astype(np.int64)
    start, stop, owner = place[::2], place[1::2], mask[order][::2]
    kept = start < stop
    return Runs(height, width, masks, owner[kept], start[kept], stop[kept])


def overlaps(one: Runs, other: Runs) -> NDArray[np.float64]:
    """Of each mask with its namesake: what both have, as a share of what either has. 1 where both are empty."""
    stride = one.height * one.width + 1
    places = [runs.mask * stride + ends for runs in (one, other) for ends in (runs.start, runs.stop)]
    place = np.concatenate(places)
    steps = np.concatenate([np.full(len(ends), sign) for ends, sign in zip(places, (1, -1, 1, -1), strict=True)])
    order = np.argsort(place, kind="stable")
    place, depth = place[order], np.cumsum(steps[order])
    length = np.diff(place, append=place[-1:])
    both, either = (np.bincount(place // stride, length * (depth >= least), minlength=one.count) for least in (2, 1))
    return np.asarray(np.where(either > 0, both / np.maximum(either, 1), 1.0))
