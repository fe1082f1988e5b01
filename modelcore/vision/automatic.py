"""Everything in a picture: a grid of clicks on it, and on its crops, of which the good masks stay, each once.

The arithmetic is that of Meta's SAM2AutomaticMaskGenerator. Is given a way to ask about clicks, and knows no network.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from modelcore.vision import runs as run_sets
from modelcore.vision.automatic_parameters import AutomaticParameters
from modelcore.vision.islands import without_small_regions
from modelcore.vision.runs import Indices, Runs, runs_of_logits
from modelcore.vision.suppression import Boxes, is_cut_off, suppress

Floats = NDArray[np.float32]
Crop = tuple[int, int, int, int]  # left, top, one past the right, one past the bottom
# Clicks (clicks, 2) in a crop's pixels to logits (clicks, masks, h, w) and expected IoUs (clicks, masks).
Ask = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Found:
    """Masks with what is known of them, all of one picture."""

    runs: Runs
    predicted_iou: Floats
    stability: Floats
    points: Floats  # (masks, 2): the clicks that found them

    def select(self, which: Indices) -> "Found":
        return Found(self.runs.select(which), self.predicted_iou[which], self.stability[which], self.points[which])


def find_everything(
    open_crop: Callable[[Crop], Ask], width: int, height: int, parameters: AutomaticParameters, executor: Executor
) -> Found:
    """Best expected IoU first. `executor` asks about the next clicks while these are looked at."""
    parts, crop_areas = [], []
    for crop, layer in crops(width, height, parameters):
        part = _in_crop(open_crop(crop), crop, layer, width, height, parameters, executor)
        parts.append(part)
        crop_areas.append(np.full(part.runs.count, (crop[2] - crop[0]) * (crop[3] - crop[1]), np.float32))
    found = _concatenate(parts)
    if len(parts) > 1:  # of one thing found in two crops, the smaller crop saw more
        found = found.select(suppress(_boxes(found.runs), 1 / np.concatenate(crop_areas), parameters.crop_nms_thresh))
    if parameters.min_mask_region_area:
        found = _tidied(found, parameters)
    return found.select(np.argsort(-found.predicted_iou, kind="stable"))


def crops(width: int, height: int, parameters: AutomaticParameters) -> Iterator[tuple[Crop, int]]:
    """The whole picture, then in each layer twice as many crops on a side; with the layer."""
    yield (0, 0, width, height), 0
    for layer in range(1, parameters.crop_n_layers + 1):
        on_a_side = 2**layer
        overlap = int(parameters.crop_overlap_ratio * min(width, height) * (2 / on_a_side))
        across, down = (math.ceil((overlap * (on_a_side - 1) + side) / on_a_side) for side in (width, height))
        for column, row in itertools.product(range(on_a_side), repeat=2):
            left, top = column * (across - overlap), row * (down - overlap)
            crop = (left, top, min(left + across, width), min(top + down, height))
            if crop[0] < crop[2] and crop[1] < crop[3]:  # a picture of one pixel has no second column
                yield crop, layer


def point_grid(points_per_side: int) -> NDArray[np.float64]:
    """(points, 2), evenly spread in the unit square, row by row."""
    offset = 1 / (2 * points_per_side)
    places = np.linspace(offset, 1 - offset, points_per_side)
    return np.stack([np.tile(places, points_per_side), np.repeat(places, points_per_side)], axis=1)


def measure(logits: Floats, width: int, height: int, parameters: AutomaticParameters) -> tuple[Runs, Floats]:
    """(masks, h, w) to masks of the picture's size, and how stable they are: 0 where there is nothing at all."""
    threshold, offset = parameters.mask_threshold, parameters.stability_score_offset
    runs, sparing, generous = runs_of_logits(logits, height, width, (threshold, threshold + offset, threshold - offset))
    stability = sparing.areas() / np.maximum(generous.areas(), 1)
    return runs, stability.astype(np.float32)


def _in_crop(
    ask: Ask, crop: Crop, layer: int, width: int, height: int, parameters: AutomaticParameters, executor: Executor
) -> Found:
    size = np.array([crop[2] - crop[0], crop[3] - crop[1]])
    clicks = (point_grid(parameters.points_in_layer(layer)) * size).astype(np.float32)
    step = parameters.points_per_batch
    batches = [clicks[first : first + step] for first in range(0, len(clicks), step)]
    answers = _ahead(executor, ask, batches)
    parts = [
        _good_ones(batch, answer, crop, width, height, parameters)
        for batch, answer in zip(batches, answers, strict=True)
    ]
    found = _concatenate(parts)
    kept = found.select(suppress(_boxes(found.runs), found.predicted_iou, parameters.box_nms_thresh))
    placed = kept.runs.placed_in(height, width, crop[0], crop[1])
    return replace(kept, runs=placed, points=kept.points + np.array(crop[:2], np.float32))


def _good_ones(
    clicks: Floats,
    answer: tuple[Floats, Floats],
    crop: Crop,
    width: int,
    height: int,
    parameters: AutomaticParameters,
) -> Found:
    """In the crop's own pixels. What the network expects little of is dropped before it costs a mask of full size."""
    logits, expected = answer[0].reshape(-1, *answer[0].shape[2:]), answer[1].reshape(-1)
    points = np.repeat(clicks, answer[1].shape[1], axis=0)
    if parameters.pred_iou_thresh > 0:
        promising = expected > parameters.pred_iou_thresh
        logits, expected, points = logits[promising], expected[promising], points[promising]
    runs, stability = measure(logits, crop[2] - crop[0], crop[3] - crop[1], parameters)
    is_good = (runs.areas() > 0) & (stability >= parameters.stability_score_thresh)
    is_good &= ~is_cut_off(_boxes(runs), crop, width, height)
    return Found(runs, expected, stability, points).select(np.flatnonzero(is_good))


def _tidied(found: Found, parameters: AutomaticParameters) -> Found:
    """Without small holes and islands. Masks that needed no change are preferred where they have become alike."""
    runs, changed = without_small_regions(found.runs, parameters.min_mask_region_area)
    threshold = max(parameters.box_nms_thresh, parameters.crop_nms_thresh)
    return replace(found, runs=runs).select(suppress(_boxes(runs), (~changed).astype(np.float32), threshold))


def _ahead(executor: Executor, ask: Ask, batches: list[Floats]) -> Iterator[tuple[Floats, Floats]]:
    """Answers in order, the next one always under way."""
    waiting: Future[tuple[Floats, Floats]] | None = None
    for batch in batches:
        following = executor.submit(ask, batch)
        if waiting is not None:
            yield waiting.result()
        waiting = following
    if waiting is not None:
        yield waiting.result()


def _boxes(runs: Runs) -> Boxes:
    """As Meta has them: the last pixel is part of the box."""
    boxes = runs.boxes()
    boxes[:, 2:] = np.maximum(boxes[:, 2:] - 1, 0)
    return boxes.astype(np.float32)


def _concatenate(parts: list[Found]) -> Found:
    return Found(
        run_sets.concatenate([part.runs for part in parts]),
        np.concatenate([part.predicted_iou for part in parts]),
        np.concatenate([part.stability for part in parts]),
        np.concatenate([part.points for part in parts]),
    )
