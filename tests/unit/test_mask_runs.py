"""Masks as runs: what torch draws at full size and pycocotools makes of it, without ever drawing it."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco

from modelcore.errors import InvalidInput
from modelcore.vision import rle
from modelcore.vision.masks import Rle
from modelcore.vision.runs import Runs, concatenate, no_runs, runs_of_bitmaps, runs_of_logits

# masks, their small height and width, the picture's
SIZES = [
    pytest.param(5, 64, 64, 128, 128, id="twice as large"),
    pytest.param(4, 64, 64, 37, 91, id="smaller and larger"),
    pytest.param(3, 64, 64, 300, 20, id="tall"),
    pytest.param(3, 64, 64, 1000, 777, id="large and odd"),
    pytest.param(2, 32, 32, 32, 32, id="the same"),
    pytest.param(2, 32, 32, 1, 1, id="one pixel"),
    pytest.param(2, 16, 16, 1, 20, id="one row"),
]


def logits(count: int, height: int, width: int, *, smooth: bool) -> torch.Tensor:
    torch.manual_seed(count)
    if not smooth:
        return 4 * torch.randn(count, height, width)
    return torch.nn.functional.interpolate(4 * torch.randn(count, 1, 6, 6), (height, width), mode="bicubic")[:, 0]


def bitmaps(runs: Runs) -> NDArray[np.bool_]:
    return np.stack([runs.bitmap(mask) for mask in range(runs.count)])


def random_masks(count: int, height: int, width: int, density: float, seed: int = 0) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((count, height, width)) < density


@pytest.mark.parametrize(("count", "small_height", "small_width", "height", "width"), SIZES)
@pytest.mark.parametrize("smooth", [True, False])
def test_runs_are_what_torch_draws(
    count: int, small_height: int, small_width: int, height: int, width: int, smooth: bool
) -> None:
    small = logits(count, small_height, small_width, smooth=smooth)
    drawn = torch.nn.functional.interpolate(small[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]
    thresholds = (0.0, 1.0, -1.0)
    for threshold, runs in zip(thresholds, runs_of_logits(small.numpy(), height, width, thresholds), strict=True):
        different = bitmaps(runs) != (drawn > threshold).numpy()
        # Sums in another order are rounded otherwise: only what lies on the threshold itself may fall to either side.
        assert (np.abs(drawn.numpy()[different] - threshold) < 2e-6).all()


def test_large_batches_are_cut_up_and_come_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    small = logits(7, 16, 16, smooth=False).numpy()
    (whole,) = runs_of_logits(small, 40, 50, (0.0,))
    monkeypatch.setattr("modelcore.vision.runs._MAX_HEIGHTS_AT_ONCE", 16 * 50 * 2)
    (cut,) = runs_of_logits(small, 40, 50, (0.0,))
    assert (bitmaps(cut) == bitmaps(whole)).all()


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 0.95, 1.0])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (9, 14), (130, 77)])
def test_run_lengths_are_those_of_pycocotools(density: float, height: int, width: int) -> None:
    masks = random_masks(4, height, width, density)
    wanted = [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
    got = rle.encode(runs_of_bitmaps(masks))
    assert got == [{"size": [height, width], "counts": each["counts"].decode()} for each in wanted]


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_run_lengths_come_back_pixel_for_pixel(density: float) -> None:
    masks = random_masks(3, 31, 17, density)
    got = [rle.decode(each) for each in rle.encode(runs_of_bitmaps(masks))]
    assert (np.stack(got) == masks).all()


def test_run_lengths_of_another_size_are_refused() -> None:
    (made,) = rle.encode(runs_of_bitmaps(random_masks(1, 8, 8, 0.5)))
    with pytest.raises(InvalidInput, match="9 x 8 pixels: 64"):
        rle.decode(Rle(size=[9, 8], counts=made["counts"]))


def test_no_masks_are_no_run_lengths() -> None:
    assert rle.encode(no_runs(5, 5)) == []


def test_areas_and_boxes_are_those_of_pycocotools() -> None:
    masks = random_masks(6, 40, 60, 0.01, seed=3)
    runs = runs_of_bitmaps(masks)
    encoded = [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
    boxes = runs.boxes()
    assert (runs.areas() == coco.area(encoded)).all()
    assert (np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]) == coco.toBbox(encoded)).all()


def test_an_empty_mask_has_an_empty_box() -> None:
    runs = runs_of_bitmaps(np.stack([np.zeros((4, 4), np.bool_), np.ones((4, 4), np.bool_)]))
    assert runs.boxes().tolist() == [[0, 0, 0, 0], [0, 0, 4, 4]]


def test_masks_can_be_chosen_in_any_order() -> None:
    masks = random_masks(5, 12, 9, 0.4)
    chosen = np.array([3, 0, 4])
    assert (bitmaps(runs_of_bitmaps(masks).select(chosen)) == masks[chosen]).all()


def test_batches_follow_each_other() -> None:
    one, other = random_masks(2, 6, 7, 0.5), random_masks(3, 6, 7, 0.5, seed=1)
    both = concatenate([runs_of_bitmaps(one), runs_of_bitmaps(other)])
    assert (bitmaps(both) == np.concatenate([one, other])).all()


def test_masks_of_a_crop_lie_where_the_crop_was() -> None:
    crop = random_masks(2, 5, 6, 0.5)
    wanted = np.zeros((2, 20, 30), np.bool_)
    wanted[:, 3:8, 11:17] = crop
    assert (bitmaps(runs_of_bitmaps(crop).placed_in(20, 30, left=11, top=3)) == wanted).all()
