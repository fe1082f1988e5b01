"""Measure the SAM2 in a folder: from one click, and with automatic masks from a grid of clicks.

The automatic masks are made as SAM's own generator makes them: a grid of clicks, the best of three masks for each,
kept where the network expects a good outline and where it is sure of it, and each region once.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import Sam2Model

from training.bars import CASES, EXAM_SEED
from training.drawing import Masks
from training.measurement import Measured, average, share
from training.parts.sam2 import click, normalised
from training.scene import CANVAS_PX
from training.tensors import pixels_tensor
from training.world import Sample, Split, World

GRID = 16  # clicks on each axis
LEAST_EXPECTED = 0.8  # predicted IoU of a mask that is kept
LEAST_STABLE = 0.8  # IoU of the mask drawn sparingly and generously; SAM has 0.95 for masks four times as fine
STABILITY_OFFSET = 1.0  # of the logits, to either side
SAME = 0.7  # IoU above which two masks are one
MATCHED = 0.75  # IoU at which a mask has found a thing
_NAMES = {1: "one", 2: "two", 3: "three"}


def measure(folder: Path, split: Split = "held_out", seed: int = EXAM_SEED) -> list[Measured]:
    model = Sam2Model.from_pretrained(folder, dtype=torch.float32).eval()
    results = [
        average(f"sam2.{name}", [one_click(model, s, n) for n, s in enumerate(_samples(split, seed, count))])
        for count, name in _NAMES.items()
    ]
    return results + automatic(model, list(World(split, seed).samples(CASES)))


def one_click(model: Sam2Model, sample: Sample, seed: int) -> float:
    """IoU of the best-rated mask from one click anywhere on one thing, at full size."""
    rng = random.Random(f"click {seed}")
    mask = rng.choice(list(sample.drawing.masks))
    clicked = segment(model, sample, [click(mask, rng)])
    return overlap(clicked.masks[0], mask)


def automatic(model: Sam2Model, samples: list[Sample]) -> list[Measured]:
    things = found = kept = false_ones = 0
    for sample in samples:
        masks = automatic_masks(model, sample)
        truth = list(sample.drawing.masks)
        things, kept = things + len(truth), kept + len(masks)
        found += sum(any(overlap(mask, thing) >= MATCHED for mask in masks) for thing in truth)
        false_ones += sum(all(overlap(mask, thing) < MATCHED for thing in truth) for mask in masks)
    return [share("sam2.found", found, things), share("sam2.false", false_ones, max(kept, 1))]


def automatic_masks(model: Sam2Model, sample: Sample) -> list[Masks]:
    step = CANVAS_PX / GRID
    centres = [int((n + 0.5) * step) for n in range(GRID)]
    seen = segment(model, sample, [(x, y) for y in centres for x in centres])
    good = (seen.expected >= LEAST_EXPECTED) & (seen.stability >= LEAST_STABLE)
    kept: list[Masks] = []
    for index in seen.expected.argsort(descending=True).tolist():
        mask = seen.masks[index]
        if good[index] and mask.any() and all(overlap(mask, other) < SAME for other in kept):
            kept.append(mask)
    return kept


@dataclass(frozen=True)
class Segments:
    masks: Masks  # (points, 128, 128), the best of three
    expected: Tensor  # (points,), the IoU that the network expects
    stability: Tensor  # (points,), 0 to 1


@torch.inference_mode()
def segment(model: Sam2Model, sample: Sample, points: list[tuple[int, int]]) -> Segments:
    pixels = normalised(pixels_tensor([sample.drawing]))
    clicks = torch.tensor(points, dtype=torch.float32)[None, :, None]  # (1, points, 1, 2)
    seen = model(pixel_values=pixels, input_points=clicks, multimask_output=True)
    expected, best = seen.iou_scores[0].max(dim=1)
    logits = seen.pred_masks[0, torch.arange(len(points)), best]
    full = functional.interpolate(logits[:, None], size=(CANVAS_PX, CANVAS_PX), mode="bilinear")
    return Segments((full[:, 0] > 0).numpy(), expected, stability(logits))


def stability(logits: Tensor) -> Tensor:
    """How little a mask depends on where the line is drawn: (points,)."""
    sparing, generous = ((logits > offset).sum(dim=(1, 2)) for offset in (STABILITY_OFFSET, -STABILITY_OFFSET))
    return sparing / generous.clamp(min=1)


def overlap(one: Masks, other: Masks) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


def _samples(split: Split, seed: int, count: int) -> list[Sample]:
    return list(World(split, seed, (count,)).samples(CASES))
