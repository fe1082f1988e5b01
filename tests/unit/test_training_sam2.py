import random
from pathlib import Path

import numpy as np
import torch
from transformers import Sam2Model

from training.parts.sam2 import MASK_PX, Sam2Task, click, make
from training.parts.sam2_exam import one_click, overlap, stability
from training.world import World

SHIPPED = Path(__file__).parents[2] / "families" / "demo" / "sam2"


def test_shipped_sam2_outlines_what_was_clicked() -> None:
    model = Sam2Model.from_pretrained(SHIPPED, dtype=torch.float32).eval()
    samples = World("tune", 1).samples(8)
    overlaps = [one_click(model, sample, seed=1) for sample in samples]
    assert sum(overlaps) / len(overlaps) > 0.85


def test_mask_that_is_the_same_however_the_line_is_drawn_is_stable() -> None:
    logits = torch.tensor([[[9.0, -9.0], [9.0, -9.0]], [[0.5, -0.5], [9.0, -9.0]]])
    torch.testing.assert_close(stability(logits), torch.tensor([1.0, 1 / 3]))


def test_clicks_and_picture_share_one_language_of_places() -> None:
    model = make()
    torch.testing.assert_close(
        model.prompt_encoder.shared_embedding.positional_embedding,
        model.shared_image_embedding.positional_embedding,
    )


def test_one_click_gives_three_masks_of_half_the_size() -> None:
    model = make().eval()
    points = torch.tensor([[[[64.0, 64.0]]]])
    with torch.inference_mode():
        seen = model(pixel_values=torch.zeros(1, 3, 128, 128), input_points=points)
    assert seen.pred_masks.shape == (1, 1, 3, MASK_PX, MASK_PX)


def test_click_lies_on_the_mask() -> None:
    mask = np.zeros((8, 8), dtype=bool)
    mask[2, 5] = True
    assert click(mask, random.Random(1)) == (5, 2)


def test_clicks_on_nothing_have_empty_masks() -> None:
    batch = Sam2Task(1).batch(1)
    assert batch.masks[batch.is_thing == 0].sum() == 0
    assert (batch.masks[batch.is_thing == 1].sum(dim=(1, 2)) > 0).all()


def test_overlap_of_halves_is_a_third() -> None:
    one, other = np.zeros((2, 3), dtype=bool), np.zeros((2, 3), dtype=bool)
    one[:, :2], other[:, 1:] = True, True
    assert overlap(one, other) == 1 / 3
