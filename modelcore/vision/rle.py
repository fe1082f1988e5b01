"""Runs to and from COCO's compressed run lengths, a batch at once. The strings are those of pycocotools."""

import numpy as np
from numpy.typing import NDArray

from modelcore.errors import InvalidInput
from modelcore.vision.masks import Rle
from modelcore.vision.runs import Indices, Runs

_BITS = 5
_MORE = 0x20
_FIRST_CHARACTER = 48


def encode(runs: Runs) -> list[Rle]:
    counts, owner = run_lengths(runs)
    text, lengths = _compress(counts, owner, runs.count)
    ends = np.cumsum(lengths)
    size = [runs.height, runs.width]
    return [
        Rle(size=list(size), counts=text[end - length : end])
        for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)
    ]


def decode(rle: Rle) -> NDArray[np.bool_]:
    """(height, width)."""
    height, width = rle["size"]
    counts = _decompress(rle["counts"])
    if (counts < 0).any() or counts.sum() != height * width:
        raise InvalidInput(f"counts must sum to {height} x {width} pixels: {int(counts.sum())}", field="counts")
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(width, height).T


def run_lengths(runs: Runs) -> tuple[Indices, Indices]:
    """Of each mask: pixels outside, inside, outside, ... in COCO's order, and whose they are."""
    start, stop, mask = _across_columns(runs)
    pixels = runs.height * runs.width
    places = np.empty(2 * len(mask), np.int64)
    places[::2], places[1::2] = start, stop
    each = 2 * np.bincount(mask, minlength=runs.count)
    # Every mask ends with the picture's end, unless it goes on inside up to there.
    last = np.zeros(runs.count, np.int64)
    last[mask] = stop  # the last write of each stays
    needs_end = last < pixels
    ends = np.cumsum(each)[needs_end]
    places = np.insert(places, ends, pixels)
    owner = np.repeat(np.arange(runs.count), each + needs_end)
    counts = np.diff(places, prepend=0)
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    counts[first] = places[first]
    return counts, owner


def _across_columns(runs: Runs) -> tuple[Indices, Indices, Indices]:
    """A run that ends at the foot of its column and one at the head of the next are one to COCO."""
    touching = np.flatnonzero((runs.mask[1:] == runs.mask[:-1]) & (runs.start[1:] == runs.stop[:-1]))
    return np.delete(runs.start, touching + 1), np.delete(runs.stop, touching), np.delete(runs.mask, touching)


def _compress(counts: Indices, owner: Indices, masks: int) -> tuple[str, Indices]:
    """All masks' strings in one, and their lengths. From the fourth count on, the change from two before is written."""
    written = counts.copy()
    place = np.arange(len(counts)) - np.searchsorted(owner, owner)
    late = np.flatnonzero(place > 2)
    written[late] -= counts[late - 2]
    # Five bits a character, the lowest first, as many as the sign needs.
    needed = np.ones(len(written), np.int64)
    while (short := (written >> (_BITS * needed - 1)) + ((written >> (_BITS * needed - 1)) < 0)).any():
        needed += short != 0
    index = np.arange(int(needed.max(initial=0)))
    characters = (written[:, None] >> (_BITS * index)) & (_MORE - 1)
    characters += _MORE * (index < needed[:, None] - 1) + _FIRST_CHARACTER
    text = characters[index < needed[:, None]].astype(np.uint8).tobytes().decode("ascii")
    return text, np.bincount(owner, needed, masks).astype(np.int64)


def _decompress(text: str) -> Indices:
    characters = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - _FIRST_CHARACTER
    last = np.flatnonzero((characters & _MORE) == 0)
    first = np.concatenate([[0], last[:-1] + 1]).astype(np.int64)
    place = np.arange(len(characters)) - np.repeat(first, last - first + 1)
    values = np.add.reduceat((characters & (_MORE - 1)) << (_BITS * place), first) if len(first) else first
    negative = (characters[last] & (_MORE >> 1)) != 0
    counts: Indices = values - (negative.astype(np.int64) << (_BITS * (place[last] + 1)))
    # Each is the change from the one two before it: sums over the odd and the even ones.
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts
