"""A live configuration against the catalog: equal is silent, each difference is one sentence."""

from collections.abc import Callable
from typing import Any

import pytest

from modelcore.catalog import CATALOG, served_model
from modelcore.contract import ServedModel
from modelcore.pbtxt import parse, render
from orchestrator.health.differences import differences


@pytest.mark.parametrize("model", CATALOG, ids=lambda model: model.name)
def test_what_we_render_has_no_differences(model: ServedModel) -> None:
    assert differences(model, parse(render(model))) == []


def test_what_triton_fills_in_by_itself_is_no_difference() -> None:
    live = parse(render(served_model("clip_text")))
    live.platform = "onnxruntime_onnx"
    live.dynamic_batching.preferred_batch_size.append(64)
    assert differences(served_model("clip_text"), live) == []


def rename(live: Any) -> None:
    live.name = "other"


def change_backend(live: Any) -> None:
    live.backend = "tensorrt"


def change_dims(live: Any) -> None:
    live.input[0].dims[0] = 77


def change_type(live: Any) -> None:
    live.output[0].data_type = parse('input { name: "a" data_type: TYPE_FP16 }').input[0].data_type


def make_optional(live: Any) -> None:
    live.input[0].optional = True


def drop_output(live: Any) -> None:
    del live.output[0]


def drop_batching(live: Any) -> None:
    live.ClearField("dynamic_batching")


def change_delay(live: Any) -> None:
    live.dynamic_batching.max_queue_delay_microseconds = 5


def change_queue(live: Any) -> None:
    live.dynamic_batching.default_queue_policy.max_queue_size = 7


def prefer_sizes(live: Any) -> None:
    live.dynamic_batching.preferred_batch_size.extend([2, 4])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (rename, "name is 'other', the catalog says 'clip_text'"),
        (change_backend, "backend is 'tensorrt', the catalog says 'onnxruntime'"),
        (change_dims, "dims of input input_ids is [77], the catalog says [-1]"),
        (change_type, "the type of output embedding is 'FP16', the catalog says 'FP32'"),
        (make_optional, "optional of input input_ids is True, the catalog says False"),
        (drop_output, "output embedding is missing"),
        (drop_batching, "dynamic batching is False, the catalog says True"),
        (change_delay, "queue delay in microseconds is 5, the catalog says 0"),
        (change_queue, "queue size is 7, the catalog says 0"),
        (prefer_sizes, "preferred batch sizes is (2, 4), the catalog says ()"),
    ],
)
def test_each_difference_is_one_sentence(change: Callable[[Any], None], sentence: str) -> None:
    live = parse(render(served_model("clip_text")))
    change(live)
    assert differences(served_model("clip_text"), live) == [f"clip_text: {sentence}"]


def test_a_missing_step_is_a_difference() -> None:
    live = parse(render(served_model("clip_text_string")))
    live.ensemble_scheduling.step.pop()
    assert differences(served_model("clip_text_string"), live) == [
        "clip_text_string: the number of ensemble steps is 1, the catalog says 2"
    ]


def test_a_step_that_is_wired_otherwise_is_a_difference() -> None:
    live = parse(render(served_model("clip_text_string")))
    live.ensemble_scheduling.step[1].model_name = "other"
    (sentence,) = differences(served_model("clip_text_string"), live)
    assert sentence.startswith("clip_text_string: ensemble step 2 is ('other',")


def test_a_model_that_answers_once_instead_of_often_is_named() -> None:
    live = parse(render(served_model("demo")))
    live.ClearField("model_transaction_policy")
    assert differences(served_model("demo"), live) == ["demo: decoupled is False, the catalog says True"]
