"""Connected regions of a mask. Works on the runs of each row, so a picture costs a few hundred steps."""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Run = tuple[int, int, int]  # row, first column, one past the last column


def components(mask: Mask) -> list[Mask]:
    """One mask for each region of true pixels that touch by an edge."""
    runs = _runs(mask)
    parent = list(range(len(runs)))
    for one, other in _touching(runs):
        parent[_root(parent, one)] = _root(parent, other)
    regions: dict[int, Mask] = {}
    for index, (row, start, end) in enumerate(runs):
        region = regions.setdefault(_root(parent, index), np.zeros_like(mask))
        region[row, start:end] = True
    return list(regions.values())


def _runs(mask: Mask) -> list[Run]:
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    return list(zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True))


def _touching(runs: list[Run]) -> list[tuple[int, int]]:
    """Pairs of runs in neighbouring rows that share a column."""
    by_row: dict[int, list[int]] = {}
    for index, (row, _, _) in enumerate(runs):
        by_row.setdefault(row, []).append(index)
    return [
        (index, above)
        for index, (row, start, end) in enumerate(runs)
        for above in by_row.get(row - 1, [])
        if runs[above][1] < end and start < runs[above][2]
    ]


def _root(parent: list[int], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index
