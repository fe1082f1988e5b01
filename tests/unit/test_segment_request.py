"""A /segment request from JSON to the arrays that Triton takes, and what is refused on the way."""

from typing import Any

import pytest
from pydantic import ValidationError

from modelcore.errors import InvalidInput
from modelcore.sam2_models import SEGMENT
from modelcore.vision.prompts import MAX_POINTS, MAX_PROMPTS
from orchestrator.segment.schemas import SegmentRequest


def inputs(**fields: Any) -> dict[str, Any]:
    return dict(SegmentRequest(**fields).question().inputs)


def test_nothing_said_is_nothing_sent() -> None:
    assert inputs() == {}


def test_prompts_with_fewer_points_are_filled_up_with_nowhere() -> None:
    arrays = inputs(points=[[[1, 2]], [[3, 4], [5, 6]]], point_labels=[[1], [1, 0]])
    assert arrays["points"].tolist() == [[[1, 2], [0, 0]], [[3, 4], [5, 6]]]
    assert arrays["point_labels"].tolist() == [[1, -1], [1, 0]]


@pytest.mark.parametrize(
    ("short", "whole"),
    [
        ({"points": [[1, 2], [3, 4]]}, {"points": [[[1, 2], [3, 4]]]}),
        (
            {"points": [[1, 2], [3, 4]], "point_labels": [1, 0]},
            {"points": [[[1, 2], [3, 4]]], "point_labels": [[1, 0]]},
        ),
        ({"points": [[1, 2]], "labels": [0]}, {"points": [[[1, 2]]], "point_labels": [[0]]}),
        ({"points": [[[1, 2]]], "labels": [[0]]}, {"points": [[[1, 2]]], "point_labels": [[0]]}),
        ({"boxes": [0, 0, 5, 5]}, {"boxes": [[0, 0, 5, 5]]}),
    ],
)
def test_one_thing_needs_no_list_of_things_and_labels_may_be_those_of_clicks(
    short: dict[str, Any], whole: dict[str, Any]
) -> None:
    assert SegmentRequest(**short) == SegmentRequest(**whole)


def test_labels_in_words_stay_what_to_look_for() -> None:
    assert SegmentRequest(points=[[1, 2]], labels=["cat"]).labels == ["cat"]


def test_clicks_without_labels_are_on_their_things() -> None:
    assert inputs(points=[[[1, 2], [3, 4]]])["point_labels"].tolist() == [[1, 1]]


def test_every_field_has_the_type_that_the_model_declares() -> None:
    given = {
        "points": [[[1, 2]]],
        "boxes": [[0, 0, 5, 5]],
        "multimask": True,
        "polygon_tolerance": 2,
        "points_per_side": 16,
        "pred_iou_thresh": 0.5,
        "min_mask_region_area": 9,
    }
    declared = {tensor.name: tensor for tensor in SEGMENT.inputs}
    names = {"FP32": "float32", "INT64": "int64", "INT32": "int32", "BOOL": "bool"}
    for name, array in inputs(**given).items():
        assert (array.dtype.name, array.ndim) == (names[declared[name].data_type], len(declared[name].dims))


def test_equal_requests_are_the_same_question_and_others_are_not() -> None:
    keys = [
        SegmentRequest(**fields).question().key for fields in ({"boxes": [[0, 0, 5, 5]]}, {"boxes": [[0, 0, 5, 6]]})
    ]
    assert keys[0] == SegmentRequest(boxes=[[0, 0, 5, 5]]).question().key
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"points": []}, "points"),
        ({"points": [[]]}, "points"),
        ({"points": [[[1, 1]] * (MAX_POINTS + 1)]}, "points"),
        ({"points": [[[1, 1]]] * 10_000}, "points"),
        ({"points": [[[1, 1]]], "point_labels": [[1, 1]]}, "point_labels"),
        ({"point_labels": [[1]]}, "point_labels"),
        ({"boxes": []}, "boxes"),
        ({"boxes": [[0, 0, 1, 1]] * (MAX_PROMPTS + 1)}, "boxes"),
        ({"pred_iou_thresh": 1.5}, "pred_iou_thresh"),
        ({"polygon_tolerance": -1}, "polygon_tolerance"),
        ({"polygon_tolerance": 1e300}, "polygon_tolerance"),
        ({"points_per_side": 0}, "points_per_side"),
        ({"crop_n_layers": 3}, "crop_n_layers"),
    ],
)
def test_what_is_out_of_bounds_names_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        inputs(**fields)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "fields",
    [
        {"points": [1, 2]},
        {"points": [[1, 2], [[3, 4]]]},
        {"points": [[[1, 2, 3]]]},
        {"points": [[["1", 2]]]},
        {"points": [[[float("nan"), 2]]]},
        {"points": [[[1, 2]]], "point_labels": [[2]]},
        {"boxes": [[0, 0, 1]]},
        {"stability_score_thresh": float("nan")},
        {"mask_threshold": float("inf")},
        {"mask_format": "bmp"},
        {"top": 0},
        {"unknown": 1},
    ],
)
def test_what_has_no_sense_is_refused_by_its_shape(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SegmentRequest(**fields)
