"""What a client points at, from JSON's nested lists to the arrays that `segment` takes. The bounds are Triton's own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelcore.errors import InvalidInput
from modelcore.vision.prompts import MAX_POINTS, MAX_PROMPTS
from orchestrator.tensors import Arrays

Point = list[float]
_NOWHERE = -1  # a place that only fills up a prompt with fewer points than another


def list_of_things(value: Any, depth: int) -> Any:
    """Who points at one thing may leave out the list around it, as SAM's own predictor does. `depth` is with it."""
    return [value] if _first_value(value)[0] == depth - 1 else value


def are_click_labels(value: Any) -> bool:
    depth, first = _first_value(value)
    return depth > 0 and isinstance(first, int)


def _first_value(value: Any) -> tuple[int, Any]:
    """How many lists deep it is, and what it is; 0 where there is none."""
    depth = 0
    while isinstance(value, list):
        if not value:
            return 0, None
        depth, value = depth + 1, value[0]
    return depth, value


def prompt_arrays(
    points: Sequence[Sequence[Point]] | None,
    point_labels: Sequence[Sequence[int]] | None,
    boxes: Sequence[Sequence[float]] | None,
) -> Arrays:
    """One prompt an object; only those inputs that were given."""
    arrays: Arrays = {}
    if points is not None:
        arrays["points"], arrays["point_labels"] = _clicks(points, point_labels)
    elif point_labels is not None:
        raise InvalidInput("point_labels needs points beside it", field="point_labels")
    if boxes is not None:
        _check_count(len(boxes), "boxes")
        arrays["boxes"] = np.array(boxes, dtype=np.float32)
    return arrays


def _clicks(
    points: Sequence[Sequence[Point]], labels: Sequence[Sequence[int]] | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Without labels every click is on its thing."""
    _check_count(len(points), "points")
    counts = [len(prompt) for prompt in points]
    if labels is not None and [len(prompt) for prompt in labels] != counts:
        raise InvalidInput("point_labels must have one number for each of the points", field="point_labels")
    longest = max(counts)
    if not 1 <= min(counts) <= longest <= MAX_POINTS:
        raise InvalidInput(f"a prompt may have 1 to {MAX_POINTS} points: {longest}", field="points")
    places = np.zeros((len(points), longest, 2), np.float32)
    kinds = np.full((len(points), longest), _NOWHERE, np.int64)
    for row, prompt in enumerate(points):
        places[row, : len(prompt)] = prompt
        kinds[row, : len(prompt)] = 1 if labels is None else labels[row]
    return places, kinds


def _check_count(count: int, field: str) -> None:
    if not 1 <= count <= MAX_PROMPTS:
        raise InvalidInput(f"{field} may have 1 to {MAX_PROMPTS} prompts: {count}", field=field)
