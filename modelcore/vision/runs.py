"""A batch of masks as vertical runs of pixels, made from a network's small logits with no full-size array in between.

SAM2's masks come at a quarter of the network's side and are drawn bilinearly at the picture's. Along one column of the
picture that is a line through a few hundred heights, which passes a threshold at most once between two of them: so the
places where it passes say everything, and a picture of 16 megapixels costs what its columns cost. The sums are those of
torch's interpolate, in its order. Column by column is also the order of COCO's run lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Floats = NDArray[np.float32]

# Heights looked at in one go, some 15 bytes each: a thousand masks of a large picture must not be in memory at once.
_MAX_HEIGHTS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Runs:
    """Sorted by mask, then place. No run leaves its column, none is empty, no two of a column touch."""

    height: int
    width: int
    count: int  # masks, the empty ones too
    mask: Indices  # whose run it is
    start: Indices  # column * height + row
    stop: Indices  # one past the last

    def areas(self) -> Indices:
        lengths = (self.stop - self.start).astype(np.float64)  # exact far beyond any picture
        return np.bincount(self.mask, lengths, self.count).astype(np.int64)

    def boxes(self) -> Indices:
        """(masks, 4): left, top, one past the right, one past the bottom. Zeros for an empty mask."""
        boxes = np.zeros((self.count, 4), np.int64)
        found, first = np.unique(self.mask, return_index=True)
        if len(found):
            column, row = np.divmod(self.start, self.height)
            last_row = (self.stop - 1) % self.height
            boxes[found, 0] = np.minimum.reduceat(column, first)
            boxes[found, 1] = np.minimum.reduceat(row, first)
            boxes[found, 2] = np.maximum.reduceat(column, first) + 1
            boxes[found, 3] = np.maximum.reduceat(last_row, first) + 1
        return boxes

    def select(self, masks: Indices) -> "Runs":
        """Those masks, in that order; each may be named once."""
        place = np.full(self.count, -1, np.int64)
        place[masks] = np.arange(len(masks))
        moved = place[self.mask]
        order = np.flatnonzero(moved >= 0)
        order = order[np.argsort(moved[order], kind="stable")]
        return replace(self, count=len(masks), mask=moved[order], start=self.start[order], stop=self.stop[order])

    def placed_in(self, height: int, width: int, left: int, top: int) -> "Runs":
        """As part of a larger picture, whose crop they were found in."""
        column, row = np.divmod(self.start, self.height)
        start = (column + left) * height + row + top
        return Runs(height, width, self.count, self.mask, start, start + self.stop - self.start)

    def bitmap(self, mask: int) -> NDArray[np.bool_]:
        """One mask, pixel by pixel: (height, width)."""
        low, high = np.searchsorted(self.mask, [mask, mask + 1])
        steps = np.zeros(self.height * self.width + 1, np.int8)
        np.add.at(steps, self.start[low:high], 1)
        np.add.at(steps, self.stop[low:high], -1)
        pixels: NDArray[np.bool_] = np.cumsum(steps[:-1], dtype=np.int8).astype(np.bool_)
        return pixels.reshape(self.width, self.height).T


def no_runs(height: int, width: int) -> Runs:
    none = np.zeros(0, np.int64)
    return Runs(height, width, 0, none, none, none)


def concatenate(batches: Sequence[Runs]) -> Runs:
    """At least one batch, all of one picture."""
    offsets = np.cumsum([0, *(runs.count for runs in batches)])
    return replace(
        batches[0],
        count=int(offsets[-1]),
        mask=np.concatenate([runs.mask + offset for runs, offset in zip(batches, offsets, strict=False)]),
        start=np.concatenate([runs.start for runs in batches]),
        stop=np.concatenate([runs.stop for runs in batches]),
    )


def runs_of_bitmaps(masks: NDArray[np.bool_]) -> Runs:
    """(masks, height, width)."""
    count, height, width = masks.shape
    edges, rows = _edges(np.ascontiguousarray(masks.transpose(0, 2, 1)))
    return _runs(edges // (height + 1), rows, count, height, width)


def runs_of_logits(logits: Floats, height: int, width: int, thresholds: Sequence[float]) -> list[Runs]:
    """What of (masks, h, w), drawn at height x width, is above each of the thresholds."""
    count, small_height, _ = logits.shape
    step = max(1, _MAX_HEIGHTS_AT_ONCE // (small_height * width))
    parts: list[list[Runs]] = [[] for _ in thresholds]
    for first in range(0, count, step):
        columns = _columns(logits[first : first + step], width)
        for found, threshold in zip(parts, thresholds, strict=True):
            found.append(_runs_above(columns, height, np.float32(threshold)))
    return [concatenate(found) if found else no_runs(height, width) for found in parts]


def _columns(logits: Floats, width: int) -> Floats:
    """(masks, h, w) -> (masks, width, h): the heights along each of the picture's columns."""
    near, far, share = _neighbours(width, logits.shape[2])
    upright = np.ascontiguousarray(logits.transpose(0, 2, 1), np.float32)
    columns: Floats = upright[:, near]
    columns *= (1 - share)[:, None]
    columns += upright[:, far] * share[:, None]
    return columns


def _runs_above(columns: Floats, height: int, threshold: np.float32) -> Runs:
    count, width, heights = columns.shape
    edges, after = _edges(columns > threshold)
    column = edges // (heights + 1)
    rows = _rows_of_edges(columns.reshape(-1, heights), column, after, height, threshold)
    return _runs(column, rows, count, height, width)


def _edges(inside: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Where along the last axis it begins and ends to be inside, by turns: places, and the index they come before."""
    length = inside.shape[-1]
    padded = np.zeros((*inside.shape[:-1], length + 2), np.bool_)
    padded[..., 1:-1] = inside
    edges = np.flatnonzero(padded[..., 1:] != padded[..., :-1])
    return edges, edges % (length + 1)


def _rows_of_edges(columns: Floats, column: Indices, after: Indices, height: int, threshold: np.float32) -> Indices:
    """The picture's first row on the far side of each edge, which lies between the heights `after` - 1 and `after`."""
    heights = columns.shape[1]
    near, _, share = _neighbours(height, heights)
    first_row = np.searchsorted(near, np.arange(heights + 1))  # of those drawn from a height and the next
    rows = np.where(after == heights, height, 0)
    within = np.flatnonzero((after > 0) & (after < heights))
    column, after = column[within], after[within]
    before, behind = columns[column, after - 1], columns[column, after]
    low, high = first_row[after - 1], first_row[after]

    def is_past(row: Indices) -> NDArray[np.bool_]:
        part = share[np.minimum(row, height - 1)]
        drawn: NDArray[np.bool_] = before * (1 - part) + behind * part > threshold
        past: NDArray[np.bool_] = drawn == (behind > threshold)
        return past

    guess = after - 1 + (threshold - before.astype(np.float64)) / (behind.astype(np.float64) - before)
    row = np.clip(np.ceil((guess + 0.5) * (height / heights) - 0.5).astype(np.int64), low, high)
    # The guess is exact, the drawing is rounded: look at both neighbours.
    row += (row < high) & ~is_past(row)
    row -= (row > low) & is_past(row - 1)
    rows[within] = row
    return rows


def _runs(column: Indices, rows: Indices, count: int, height: int, width: int) -> Runs:
    """From edges that begin and end a run by turns; `column` counts through all masks."""
    column, start, stop = column[::2], rows[::2], rows[1::2]
    kept = start < stop  # thinner than a pixel otherwise
    column, start, stop = column[kept], start[kept], stop[kept]
    touching = np.flatnonzero((column[1:] == column[:-1]) & (start[1:] == stop[:-1]))
    mask, place = np.divmod(column, width)
    start, stop = place * height + start, place * height + stop
    return Runs(
        height,
        width,
        count,
        np.delete(mask, touching),
        np.delete(start, touching + 1),
        np.delete(stop, touching),
    )


def _neighbours(size: int, small_size: int) -> tuple[Indices, Indices, Floats]:
    """For each of `size` pixels the two of `small_size` it lies between, and the share of the second: torch's sums."""
    scale = np.float32(small_size / size)
    places = np.maximum((np.arange(size, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5), 0)
    near = np.minimum(places.astype(np.int64), small_size - 1)
    far = np.minimum(near + 1, small_size - 1)
    return near, far, (places - near).astype(np.float32)
