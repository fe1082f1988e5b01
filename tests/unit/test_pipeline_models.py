from modelcore.diffusion.request import PictureRequest
from modelcore.pbtxt import parse, render
from modelcore.pipeline_models import pipeline_models

STREAMED, ANSWERED = pipeline_models("sd35-medium")


def test_a_family_has_a_stream_and_a_single_answer() -> None:
    assert [model.name for model in (STREAMED, ANSWERED)] == ["sd35-medium", "sd35-medium_image"]
    assert [parse(render(model)).model_transaction_policy.decoupled for model in (STREAMED, ANSWERED)] == [True, False]


def test_all_but_the_prompt_may_be_left_out() -> None:
    for model in (STREAMED, ANSWERED):
        assert [tensor.name for tensor in model.inputs if not tensor.optional] == ["prompt"]


def test_everything_that_a_request_may_hold_can_be_asked_for() -> None:
    asked = {tensor.name for tensor in STREAMED.inputs}
    # An outpainting becomes a picture and a mask on the larger canvas; cancelling is about requests, not pictures.
    assert asked - {"outpaint", "cancel_token", "cancel"} == set(PictureRequest.__annotations__)


def test_the_single_answer_takes_the_same_but_for_previews() -> None:
    assert {tensor.name for tensor in STREAMED.inputs} - {tensor.name for tensor in ANSWERED.inputs} == {
        "preview_every"
    }
