"""The proof that our split decoder is transformers' own, on these very weights. Exports nothing."""

from typing import Any

import torch
from transformers import Sam2Model

from export.sam2.decoder import Decoder
from export.sam2.prepare import Prepare
from export.sam2.prompts import CORNERS, random_features, random_prompts
from export.sam2.sizes import mask_input_shape
from modelcore.errors import SetupProblem

# Rounding may differ: the same sums, in matrices of other shapes.
MAX_SPLIT_ERROR = 1e-6

# Masks (prompts, 4, height, width), their IoU scores (prompts, 4), and the object score (prompts, 1).
Answer = tuple[torch.Tensor, ...]


def prove_split(model: Sam2Model) -> None:
    for prompts, box, masked in ((1, False, False), (3, True, False), (2, False, True)):
        features = random_features(model)
        points, labels = random_prompts(model, prompts, 1 + CORNERS, box=box)
        masks = 8 * torch.randn(prompts, *mask_input_shape(model)) if masked else None
        wanted = whole_answer(model, features, points, labels, masks)
        got = split_answer(model, features, points, labels, masks)
        error = max(split_error(*pair) for pair in zip(got, wanted, strict=True))
        if not error <= MAX_SPLIT_ERROR:
            raise SetupProblem(f"sam2_decoder: split, it differs from transformers' by {error:.1e}")


def split_error(got: torch.Tensor, wanted: torch.Tensor) -> float:
    """Relative, but not to less than 1, the unit of logits and shares: one score near zero is no measure."""
    if got.shape != wanted.shape:
        return float("inf")
    return float((got - wanted).abs().max() / wanted.abs().max().clamp(min=1))


@torch.inference_mode()
def split_answer(
    model: Sam2Model,
    features: tuple[torch.Tensor, ...],
    points: torch.Tensor,
    labels: torch.Tensor,
    masks: torch.Tensor | None = None,
) -> Answer:
    embedding, fine, middle = features
    given = torch.zeros(1, *mask_input_shape(model), dtype=points.dtype) if masks is None else masks
    image = Prepare(model)(embedding, given, torch.full((len(given),), masks is not None))
    answer: Answer = Decoder(model)(*image, fine, middle, points, labels)
    return answer


@torch.inference_mode()
def whole_answer(
    model: Sam2Model,
    features: tuple[torch.Tensor, ...],
    points: torch.Tensor,
    labels: torch.Tensor,
    masks: torch.Tensor | None = None,
) -> Answer:
    """By transformers' forward, with labels 2 and 3 at the end handed over as the box they are."""
    embedding, fine, middle = features
    # With masks every prompt is a picture of its own: transformers takes one mask for each picture.
    pictures, per_picture = (1, len(points)) if masks is None else (len(points), 1)
    given = {
        "image_embeddings": [level.expand(pictures, -1, -1, -1) for level in (fine, middle, embedding)],
        "input_masks": masks,
        **_points_and_boxes(points, labels, (pictures, per_picture)),
    }
    single, three = _single_mask(model, given), model(**given, multimask_output=True)
    return (
        torch.cat([single.pred_masks, three.pred_masks], dim=2).flatten(0, 1),
        torch.cat([single.iou_scores, three.iou_scores], dim=2).flatten(0, 1),
        three.object_score_logits.flatten(0, 1),
    )


def _points_and_boxes(
    points: torch.Tensor, labels: torch.Tensor, rows: tuple[int, int]
) -> dict[str, torch.Tensor | None]:
    has_box = bool((labels[:, -CORNERS:] > 1).all()) and labels.shape[1] >= CORNERS
    boxes = points[:, -CORNERS:].reshape(*rows, 4) if has_box else None
    clicks = points.shape[1] - (CORNERS if has_box else 0)
    return {
        "input_points": points[:, :clicks].reshape(*rows, clicks, 2) if clicks else None,
        "input_labels": labels[:, :clicks].reshape(*rows, clicks) if clicks else None,
        "input_boxes": boxes,
    }


def _single_mask(model: Sam2Model, given: dict[str, Any]) -> Any:
    """Mask 0 as the network says it, without transformers' choice of a steadier one."""
    decoder = model.mask_decoder
    chooses, decoder.dynamic_multimask_via_stability = decoder.dynamic_multimask_via_stability, False
    try:
        return model(**given, multimask_output=False)
    finally:
        decoder.dynamic_multimask_via_stability = chooses
