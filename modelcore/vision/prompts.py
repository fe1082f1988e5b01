"""What a client points at: clicks, boxes and earlier masks, from arrays as they come, to what SAM2's decoder takes.

Refuses what is out of bounds, with the field and the bound. Knows no network and no server.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelcore.errors import InvalidInput
from modelcore.vision.sam2_input import Sam2Facts

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

# What engines are built for, and what one answer may hold.
MAX_PROMPTS = 64
MAX_POINTS = 16  # of one prompt, a box's two corners among them
MAX_MASK_LOGIT = 1000  # we answer with at most 32; from about 1e38 on the network has no numbers left to answer with
PROMPT_INPUTS = ("points", "point_labels", "boxes", "mask_input")

_NOWHERE = -1
_CORNERS = (2, 3)


@dataclass(frozen=True)
class PromptGroup:
    """Prompts with equally many points, so that one call takes them: each is answered as if it were alone."""

    prompts: NDArray[np.int64]  # which of the request's
    points: Floats  # (prompts, points, 2), in the network's pixels
    labels: Labels  # (prompts, points)
    masks: Floats | None  # (prompts, h, w)


@dataclass(frozen=True)
class Prompts:
    """Checked; a box is two points of its prompt, the first ones."""

    points: Floats  # (prompts, points, 2), in the picture's pixels
    labels: Labels  # (prompts, points); -1 for places that only fill up
    masks: Floats | None  # (prompts, h, w)

    def groups(self, width: int, height: int, facts: Sam2Facts) -> Iterator[PromptGroup]:
        # A point that only fills up is still a word to the network, and changes its answer: so none is sent.
        order = np.argsort(self.labels == _NOWHERE, axis=1, kind="stable")
        points = np.take_along_axis(to_network(self.points, width, height, facts), order[..., None], axis=1)
        labels = np.take_along_axis(self.labels, order, axis=1)
        lengths = (labels != _NOWHERE).sum(axis=1)
        for length in np.unique(lengths).tolist():
            chosen = np.flatnonzero(lengths == length)
            masks = None if self.masks is None else self.masks[chosen]
            yield PromptGroup(chosen, points[chosen, :length], labels[chosen, :length], masks)


def to_network(points: Floats, width: int, height: int, facts: Sam2Facts) -> Floats:
    """The picture's pixels to those of the square that the network sees; the sums of Meta's transform."""
    return (points.astype(np.float32) / np.array([width, height], np.float32)) * np.float32(facts.side_px)


def read_prompts(arrays: Mapping[str, NDArray[Any]], width: int, height: int, facts: Sam2Facts) -> Prompts | None:
    """None where there are none, which asks for automatic masks."""
    if not any(name in arrays for name in PROMPT_INPUTS):
        return None
    given = [part for part in (_boxes(arrays, width, height), _clicks(arrays, width, height)) if part is not None]
    if not given:
        raise InvalidInput("mask_input needs points or boxes beside it", field="mask_input")
    prompts = len(given[0][0])
    if len(given) == 2 and len(given[1][0]) != prompts:
        raise InvalidInput(
            f"boxes and points must be of equally many prompts: {prompts}, {len(given[1][0])}", field="boxes"
        )
    points = np.concatenate([part[0] for part in given], axis=1)
    labels = np.concatenate([part[1] for part in given], axis=1)
    _check_counts(points, labels)
    return Prompts(points, labels, _masks(arrays, prompts, facts))


def _boxes(arrays: Mapping[str, NDArray[Any]], width: int, height: int) -> tuple[Floats, Labels] | None:
    if "boxes" not in arrays:
        return None
    boxes = arrays["boxes"].astype(np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InvalidInput(f"boxes must be prompts x 4 (x0, y0, x1, y1): {_shape(boxes)}", field="boxes")
    corners = boxes.reshape(-1, 2, 2)
    _check_inside(corners, width, height, "boxes")
    inside_out = np.flatnonzero((corners[:, 0] >= corners[:, 1]).any(axis=1))
    if len(inside_out):
        box = boxes[inside_out[0]].tolist()
        raise InvalidInput(f"a box must have x0 < x1 and y0 < y1: {box}", field="boxes")
    return corners, np.tile(np.array(_CORNERS, np.int64), (len(boxes), 1))


def _clicks(arrays: Mapping[str, NDArray[Any]], width: int, height: int) -> tuple[Floats, Labels] | None:
    if "points" not in arrays and "point_labels" not in arrays:
        return None
    if "points" not in arrays or "point_labels" not in arrays:
        missing = "point_labels" if "points" in arrays else "points"
        raise InvalidInput("points and point_labels come together or not at all", field=missing)
    points, labels = arrays["points"].astype(np.float32), arrays["point_labels"].astype(np.int64)
    if points.ndim != 3 or points.shape[2] != 2:
        raise InvalidInput(f"points must be prompts x points x 2: {_shape(points)}", field="points")
    if labels.shape != points.shape[:2]:
        wanted = f"{points.shape[0]} x {points.shape[1]}, one for each point"
        raise InvalidInput(f"point_labels must be {wanted}: {_shape(labels)}", field="point_labels")
    unknown = labels[(labels < _NOWHERE) | (labels > 1)]
    if len(unknown):
        known = "1 (on the thing), 0 (beside it) or -1 (no point)"
        raise InvalidInput(f"point_labels must be {known}: {int(unknown[0])}", field="point_labels")
    _check_inside(points[labels != _NOWHERE], width, height, "points")
    return np.where(labels[..., None] == _NOWHERE, np.float32(0), points), labels


def _check_counts(points: Floats, labels: Labels) -> None:
    field = "boxes" if labels.shape[1] == len(_CORNERS) and (labels == _CORNERS).all() else "points"
    if not 1 <= points.shape[0] <= MAX_PROMPTS:
        raise InvalidInput(f"a request may have 1 to {MAX_PROMPTS} prompts: {points.shape[0]}", field=field)
    if not 1 <= points.shape[1] <= MAX_POINTS:
        bound = f"1 to {MAX_POINTS} points, a box counting as two"
        raise InvalidInput(f"a prompt may have {bound}: {points.shape[1]}", field=field)
    empty = np.flatnonzero((labels == _NOWHERE).all(axis=1))
    if len(empty):
        raise InvalidInput(f"every prompt needs a point or a box: number {int(empty[0])} has none", field=field)


def _check_inside(points: Floats, width: int, height: int, field: str) -> None:
    outside = ~((points >= 0) & (points <= np.array([width, height], np.float32)))  # NaN is outside too
    if outside.any():
        place = points[outside.any(axis=-1)][0].tolist()
        bounds = f"0 to {width} across and 0 to {height} down"
        raise InvalidInput(f"{field} must lie in the picture, {bounds}: {place}", field=field)


def _masks(arrays: Mapping[str, NDArray[Any]], prompts: int, facts: Sam2Facts) -> Floats | None:
    if "mask_input" not in arrays:
        return None
    masks = arrays["mask_input"].astype(np.float32)
    wanted = (prompts, facts.mask_side_px, facts.mask_side_px)
    if masks.shape != wanted:
        form = f"{' x '.join(map(str, wanted))}, as low_res_masks came"
        raise InvalidInput(f"mask_input must be {form}: {_shape(masks)}", field="mask_input")
    within = np.abs(masks) <= MAX_MASK_LOGIT  # NaN is not
    if not within.all():
        value = float(masks[~within][0])
        raise InvalidInput(
            f"mask_input must be numbers from -{MAX_MASK_LOGIT} to {MAX_MASK_LOGIT}: {value:g}", field="mask_input"
        )
    return masks


def _shape(array: NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape))
