"""How automatic masks are looked for: named as in Meta's SAM2AutomaticMaskGenerator, with its defaults, and bounded.

Not offered: `use_m2m` and `point_grids`; `output_mode` is always COCO's run lengths.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelcore.errors import InvalidInput

MAX_POINTS = 16_384  # of all crops together


@dataclass(frozen=True)
class AutomaticParameters:
    points_per_side: int = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.8
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    mask_threshold: float = 0.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    min_mask_region_area: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))
        points = sum(self.points_in_layer(layer) ** 2 * 4**layer for layer in range(self.crop_n_layers + 1))
        if points > MAX_POINTS:
            raise InvalidInput(f"all crops together may have {MAX_POINTS} points: {points}", field="points_per_side")

    def points_in_layer(self, layer: int) -> int:
        """On each side of a crop."""
        return max(1, int(self.points_per_side / self.crop_n_points_downscale_factor**layer))

    def with_inputs(self, arrays: Mapping[str, NDArray[Any]]) -> "AutomaticParameters":
        """What a request says instead, as tensors of one number."""
        given: dict[str, Any] = {name: _number(name, arrays[name]) for name in PARAMETERS if name in arrays}
        return replace(self, **given)


PARAMETERS = tuple(field.name for field in fields(AutomaticParameters))
# These mean something for clicks too.
PARAMETERS_OF_PROMPTS = ("mask_threshold", "stability_score_offset")

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "points_per_side": (1, 128),
    "points_per_batch": (1, 256),
    "pred_iou_thresh": (0, 1),
    "stability_score_thresh": (0, 1),
    "stability_score_offset": (0, 100),
    "mask_threshold": (-100, 100),
    "box_nms_thresh": (0, 1),
    "crop_n_layers": (0, 2),
    "crop_nms_thresh": (0, 1),
    "crop_overlap_ratio": (0, 0.9),
    "crop_n_points_downscale_factor": (1, 16),
    "min_mask_region_area": (0, 16_777_216),
}


def _check(name: str, value: float) -> None:
    low, high = _BOUNDS[name]
    if not (math.isfinite(value) and low <= value <= high):
        raise InvalidInput(f"{name} must be between {low} and {high}: {value}", field=name)


def _number(name: str, array: NDArray[Any]) -> float | int:
    if array.size != 1:
        raise InvalidInput(f"{name} must be one number: {array.size} were given", field=name)
    value = array.reshape(-1)[0]
    return int(value) if np.issubdtype(array.dtype, np.integer) else float(value)
