"""What `segment` answers, as arrays and as JSON, from the masks that were found."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelcore.errors import InvalidInput
from modelcore.vision.masks import Region, to_json
from modelcore.vision.polygons import TOLERANCE_PX, polygons
from modelcore.vision.rle import encode
from modelcore.vision.segmenter import Segmented

MAX_TOLERANCE_PX = 100.0


def tolerance_of(arrays: dict[str, NDArray[Any]]) -> float:
    """How far a polygon may leave its mask's outline. 0 keeps every corner of every pixel."""
    name = "polygon_tolerance"
    value = float(arrays[name].reshape(-1)[0]) if name in arrays else TOLERANCE_PX
    if not 0 <= value <= MAX_TOLERANCE_PX:
        raise InvalidInput(f"{name} must be between 0 and {MAX_TOLERANCE_PX:g} pixels: {value}", field=name)
    return value


def answer(segmented: Segmented, tolerance_px: float) -> dict[str, NDArray[Any]]:
    found = regions(segmented, tolerance_px)
    documents = [json.dumps(region.mask).encode() for region in found]
    return {
        "regions": np.array([json.dumps([to_json(region) for region in found]).encode()], dtype=np.object_),
        "masks": np.array(documents, dtype=np.object_),
        "scores": segmented.found.predicted_iou.astype(np.float32),
        "boxes": np.array([region.box for region in found], np.float32).reshape(-1, 4),
        "areas": np.array([region.area for region in found], np.int64),
        "low_res_masks": segmented.low_res_masks,
    }


def regions(segmented: Segmented, tolerance_px: float) -> list[Region]:
    found = segmented.found
    boxes = found.runs.boxes()
    boxes[:, 2:] -= boxes[:, :2]
    prompts = None if segmented.prompt is None else segmented.prompt.tolist()
    columns = zip(
        encode(found.runs),
        polygons(found.runs, tolerance_px),
        boxes.tolist(),
        found.runs.areas().tolist(),
        found.predicted_iou.tolist(),
        found.stability.tolist(),
        found.points.tolist(),
        strict=True,
    )
    return [
        Region(
            mask=mask,
            polygons=outlines,
            box=(left, top, width, height),
            area=area,
            predicted_iou=iou,
            stability_score=stability,
            point=(x, y) if prompts is None else None,
            prompt=None if prompts is None else prompts[number],
        )
        for number, (mask, outlines, (left, top, width, height), area, iou, stability, (x, y)) in enumerate(columns)
    ]
