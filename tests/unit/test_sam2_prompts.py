"""What a client may point at, and what it may ask of automatic masks: right, or refused with the field."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modelcore.errors import InvalidInput
from modelcore.sam2_models import SEGMENT
from modelcore.vision.automatic import crops, point_grid
from modelcore.vision.automatic_parameters import PARAMETERS, AutomaticParameters
from modelcore.vision.multimask import choose
from modelcore.vision.prompts import PROMPT_INPUTS, PromptGroup, read_prompts
from modelcore.vision.sam2_input import Sam2Facts
from modelcore.vision.suppression import is_cut_off, suppress

FACTS = Sam2Facts(
    side_px=128,
    mask_side_px=4,
    mean=(0.5, 0.5, 0.5),
    std=(0.2, 0.2, 0.2),
    single_mask_offset=0.05,
    single_mask_stability=0.98,
    automatic={},
)
WIDTH, HEIGHT = 64, 32


def points(*prompts: list[tuple[float, float]]) -> NDArray[np.float32]:
    return np.array(prompts, np.float32)


def labels(*prompts: list[int]) -> NDArray[np.int64]:
    return np.array(prompts, np.int64)


def groups(**arrays: NDArray[Any]) -> list[PromptGroup]:
    prompts = read_prompts(arrays, WIDTH, HEIGHT, FACTS)
    assert prompts is not None
    return list(prompts.groups(WIDTH, HEIGHT, FACTS))


def test_no_prompts_ask_for_everything() -> None:
    assert read_prompts({"image": np.array([b""])}, WIDTH, HEIGHT, FACTS) is None


def test_points_come_to_the_networks_square() -> None:
    (group,) = groups(points=points([(64, 32), (16, 8)]), point_labels=labels([1, 0]))
    assert group.points.tolist() == [[[128, 128], [32, 32]]]


def test_a_box_is_two_points_before_the_others() -> None:
    boxes = np.array([[0, 0, 32, 16]], np.float32)
    (group,) = groups(boxes=boxes, points=points([(64, 32)]), point_labels=labels([0]))
    assert (group.labels.tolist(), group.points.tolist()) == ([[2, 3, 0]], [[[0, 0], [64, 64], [128, 128]]])


def test_prompts_with_fewer_points_are_asked_about_apart() -> None:
    given = points([(1, 1), (2, 2)], [(3, 3), (0, 0)], [(4, 4), (5, 5)])
    found = groups(points=given, point_labels=labels([1, 1], [1, -1], [0, 1]))
    assert [(group.prompts.tolist(), group.labels.tolist()) for group in found] == [
        ([1], [[1]]),
        ([0, 2], [[1, 1], [0, 1]]),
    ]


def test_a_place_that_is_no_point_may_lie_anywhere() -> None:
    (group,) = groups(points=points([(np.nan, -5), (1, 1)]), point_labels=labels([-1, 1]))
    assert group.points.tolist() == [[[2, 4]]]


ONE = {"points": points([(1, 1)]), "point_labels": labels([1])}
MASK = np.zeros((1, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("arrays", "field", "message"),
    [
        ({"points": points([(65, 1)]), "point_labels": labels([1])}, "points", "0 to 64 across and 0 to 32 down"),
        ({"points": points([(-0.1, 1)]), "point_labels": labels([1])}, "points", "must lie in the picture"),
        ({"points": points([(np.nan, 1)]), "point_labels": labels([1])}, "points", "must lie in the picture"),
        ({"points": points([(1, 1)])}, "point_labels", "together or not at all"),
        ({"point_labels": labels([1])}, "points", "together or not at all"),
        ({"points": points([(1, 1)]), "point_labels": labels([1, 1])}, "point_labels", "1 x 1, one for each"),
        ({"points": points([(1, 1)]), "point_labels": labels([2])}, "point_labels", "1 .on the thing"),
        ({"points": points([(1, 1)]), "point_labels": labels([-1])}, "points", "number 0 has none"),
        ({"points": np.zeros((1, 10_000, 2)), "point_labels": np.ones((1, 10_000))}, "points", "1 to 16 points"),
        ({"points": np.zeros((10_000, 1, 2)), "point_labels": np.ones((10_000, 1))}, "points", "1 to 64 prompts"),
        ({"points": np.zeros((0, 1, 2)), "point_labels": np.ones((0, 1))}, "points", "1 to 64 prompts: 0"),
        ({"points": np.zeros((1, 0, 2)), "point_labels": np.ones((1, 0))}, "points", "1 to 16 points"),
        ({"points": np.zeros((1, 1, 3)), "point_labels": labels([1])}, "points", "prompts x points x 2: 1 x 1 x 3"),
        ({"boxes": np.array([[9, 1, 3, 5.0]])}, "boxes", "x0 < x1 and y0 < y1"),
        ({"boxes": np.array([[1, 1, 1, 5.0]])}, "boxes", "x0 < x1 and y0 < y1"),
        ({"boxes": np.array([[1, 1, 65, 5.0]])}, "boxes", "must lie in the picture"),
        ({"boxes": np.array([[1, 1, np.inf, 5.0]])}, "boxes", "must lie in the picture"),
        ({"boxes": np.array([1, 1, 2, 5.0])}, "boxes", "prompts x 4"),
        ({"boxes": np.ones((65, 4)) * [1, 1, 2, 2]}, "boxes", "1 to 64 prompts: 65"),
        ({**ONE, "boxes": np.array([[1, 1, 2, 5.0]] * 2)}, "boxes", "equally many prompts: 2, 1"),
        ({"mask_input": MASK}, "mask_input", "needs points or boxes"),
        ({**ONE, "mask_input": MASK[:, :3]}, "mask_input", "1 x 4 x 4, as low_res_masks came: 1 x 3 x 4"),
        ({**ONE, "mask_input": MASK + np.inf}, "mask_input", "-1000 to 1000: inf"),
        ({**ONE, "mask_input": MASK + np.nan}, "mask_input", "-1000 to 1000: nan"),
        ({**ONE, "mask_input": MASK - 3e38}, "mask_input", "-1000 to 1000: -3e\\+38"),
    ],
)
def test_what_cannot_be_pointed_at_is_refused(arrays: dict[str, NDArray[Any]], field: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        read_prompts(arrays, WIDTH, HEIGHT, FACTS)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pred_iou_thresh", np.float32("nan")),
        ("pred_iou_thresh", np.float32(1.01)),
        ("stability_score_thresh", np.float32(-0.1)),
        ("stability_score_offset", np.float32("inf")),
        ("mask_threshold", np.float32("nan")),
        ("box_nms_thresh", np.float32(2)),
        ("crop_overlap_ratio", np.float32(1)),
        ("crop_n_layers", np.int32(3)),
        ("points_per_side", np.int32(0)),
        ("points_per_side", np.int32(2**31 - 1)),
        ("points_per_batch", np.int32(257)),
        ("crop_n_points_downscale_factor", np.int32(0)),
        ("min_mask_region_area", np.int32(-1)),
    ],
)
def test_parameters_out_of_bounds_are_refused(name: str, value: np.generic) -> None:
    with pytest.raises(InvalidInput, match=f"{name} must be between") as caught:
        AutomaticParameters().with_inputs({name: np.array([value])})
    assert caught.value.field == name


def test_too_many_points_in_all_crops_are_refused() -> None:
    with pytest.raises(InvalidInput, match="16384 points: 21504"):
        AutomaticParameters().with_inputs({"crop_n_layers": np.array([2], np.int32)})


def test_a_parameter_is_one_number() -> None:
    with pytest.raises(InvalidInput, match="one number: 2"):
        AutomaticParameters().with_inputs({"points_per_side": np.array([8, 8], np.int32)})


def test_the_served_model_takes_every_prompt_and_parameter_that_is_read() -> None:
    served = {tensor.name for tensor in SEGMENT.inputs}
    assert served == {"image", "multimask", "polygon_tolerance", *PROMPT_INPUTS, *PARAMETERS}


def test_the_grid_is_metas() -> None:
    assert point_grid(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


def test_a_picture_of_one_pixel_has_no_crop_without_pixels() -> None:
    found = [crop for crop, _ in crops(1, 1, AutomaticParameters(crop_n_layers=1))]
    assert found == [(0, 0, 1, 1), (0, 0, 1, 1)]


def test_of_two_that_overlap_the_better_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], np.float32)
    assert suppress(boxes, np.array([0.5, 0.9, 0.7], np.float32), 0.7).tolist() == [1, 2]


def test_boxes_without_an_area_suppress_nothing() -> None:
    boxes = np.array([[3, 3, 3, 3], [3, 3, 3, 3]], np.float32)
    assert suppress(boxes, np.array([0.5, 0.9], np.float32), 0.7).tolist() == [1, 0]


def test_what_a_crop_cuts_off_is_known_from_what_the_picture_ends() -> None:
    crop = (100, 0, 200, 100)
    boxes = np.array([[5, 40, 50, 60], [40, 40, 95, 60], [40, 2, 60, 60]], np.float32)
    assert is_cut_off(boxes, crop, width=200, height=300).tolist() == [True, False, False]


def test_three_guesses_leave_the_single_mask_out() -> None:
    masks, expected = np.arange(8, dtype=np.float32).reshape(1, 4, 1, 2), np.arange(4, dtype=np.float32)[None]
    got, scores = choose(masks, expected, True, FACTS)
    assert (got.tolist(), scores.tolist()) == (masks[:, 1:].tolist(), [[1, 2, 3]])


def test_an_unsteady_single_mask_gives_way_to_the_best_guess() -> None:
    steady, unsteady = np.full((1, 2), 5, np.float32), np.array([[5, 0]], np.float32)
    masks = np.stack([np.stack([first, steady, steady + 1, steady + 2]) for first in (steady, unsteady)])
    expected = np.array([[0.1, 0.2, 0.9, 0.3]] * 2, np.float32)
    got, scores = choose(masks, expected, False, FACTS)
    assert (got[:, 0].tolist(), scores[:, 0].tolist()) == (
        [steady.tolist(), (steady + 1).tolist()],
        [pytest.approx(0.1), pytest.approx(0.9)],
    )
