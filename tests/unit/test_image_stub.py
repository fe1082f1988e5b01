import json
import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from modelcore.caller import Caller
from modelcore.image_stub import WAITING_AT_ONCE, ImageStub
from tests.fake_pb_utils import Arrays, FakePbUtils, FakeRequest, FakeResponse, answering, failing

ARGUMENTS = {
    "model_name": "demo_image",
    "model_config": json.dumps({"input": [{"name": "prompt"}, {"name": "steps"}, {"name": "cancel"}]}),
}
REQUEST = {"prompt": np.array([b"a red circle"], dtype=object), "steps": np.array([4], np.int32)}


def finished(index: int, seed: int) -> FakeResponse:
    image, info = np.array([b"png%d" % seed], dtype=object), np.array([b"{}"], dtype=object)
    return answering({"index": np.array([index]), "image": image, "seed": np.array([seed]), "info": info})


def progress(step: int) -> FakeResponse:
    return answering({"index": np.array([0]), "step": np.array([step])})


def ask(pb_utils: FakePbUtils, *requests: FakeRequest) -> None:
    stub = ImageStub(pb_utils, ARGUMENTS)
    stub.execute(list(requests))
    for pool in (stub._waiters, stub._cancellers):
        pool.shutdown()
    stub._lookout.close()


def test_the_pictures_come_in_one_answer_in_their_order() -> None:
    def paints(_arrays: Arrays) -> Iterator[FakeResponse]:
        yield from (progress(1), finished(1, 8), finished(0, 7), FakeResponse())

    request = FakeRequest(REQUEST)
    ask(FakePbUtils({"demo": paints}), request)
    (response,) = request.sender.sent
    assert {name: array.tolist() for name, array in response.arrays.items()} == {
        "image": [b"png7", b"png8"],
        "seed": [7, 8],
        "info": [b"{}", b"{}"],
    }
    assert request.sender.is_final


def test_the_pipeline_gets_the_very_inputs() -> None:
    pb_utils = FakePbUtils({"demo": lambda _arrays: iter([finished(0, 7)])})
    ask(pb_utils, FakeRequest(REQUEST))
    ((model, arrays),) = pb_utils.calls
    given = {name: array.tolist() for name, array in arrays.items() if name != "cancel_token"}
    assert (model, given) == ("demo", {"prompt": [b"a red circle"], "steps": [4]})


def test_a_refusal_of_the_pipeline_is_passed_on_as_it_is() -> None:
    message = "steps must be between 1 and 100: 0 [invalid_input steps]"
    request = FakeRequest(REQUEST)
    ask(FakePbUtils({"demo": lambda _arrays: iter([failing(message, "INVALID_ARG")])}), request)
    error = request.sender.sent[0].error()
    assert error is not None
    assert (error.message(), error.code()) == (message, "INVALID_ARG")


def test_a_pipeline_that_is_not_there_is_unavailable_by_name() -> None:
    request = FakeRequest(REQUEST)
    ask(FakePbUtils(), request)
    error = request.sender.sent[0].error()
    assert error is not None
    assert error.code() == "UNAVAILABLE"
    assert error.message().endswith("[model_unavailable demo]")


def test_a_client_that_leaves_cancels_the_pipelines_work_by_its_token() -> None:
    """Without any event of the pipeline, which goes on until it is told."""
    is_told = threading.Event()

    def paints(arrays: Arrays) -> Iterator[FakeResponse]:
        if "cancel" in arrays:
            is_told.set()
        else:
            request.sender.client_is_gone = True
            assert is_told.wait(30)
        yield FakeResponse()

    request, pb_utils = FakeRequest(REQUEST), FakePbUtils({"demo": paints})
    ask(pb_utils, request)
    (_, begun), (_, ended) = pb_utils.calls
    assert begun["cancel_token"].tolist() == ended["cancel"].tolist()
    assert request.sender.is_final


def test_a_client_may_cancel_another_request_by_its_token() -> None:
    pb_utils = FakePbUtils({"demo": lambda _arrays: iter([FakeResponse()])})
    request = FakeRequest({"prompt": REQUEST["prompt"], "cancel": np.array([b"abc"], dtype=object)})
    ask(pb_utils, request)
    ((_, arrays),) = pb_utils.calls
    assert arrays["cancel"].tolist() == [b"abc"]
    assert (request.sender.sent[0].arrays, request.sender.is_final) == ({}, True)


def test_one_slow_picture_holds_up_nobody() -> None:
    may_go_on = threading.Event()

    def paints(arrays: Arrays) -> Iterator[FakeResponse]:
        if arrays["steps"][0] == 4:
            assert may_go_on.wait(30)
        else:
            may_go_on.set()
        yield finished(0, 7)

    slow, quick = FakeRequest(REQUEST), FakeRequest({**REQUEST, "steps": np.array([1], np.int32)})
    ask(FakePbUtils({"demo": paints}), slow, quick)
    assert [len(request.sender.sent) for request in (slow, quick)] == [1, 1]


def test_our_own_mistake_shows_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    request = FakeRequest(REQUEST)
    ask(FakePbUtils({"demo": lambda _arrays: iter([answering({"image": np.zeros(1)})])}), request)
    error = request.sender.sent[0].error()
    assert error is not None
    assert (error.code(), "index" in error.message()) == ("INTERNAL", False)
    assert "KeyError" in caplog.text


def test_after_closing_every_request_is_still_answered() -> None:
    stub = ImageStub(FakePbUtils(), ARGUMENTS)
    request = FakeRequest(REQUEST)
    stub._is_closing = True
    stub.execute([request])
    stub.close()
    assert request.sender.is_final


def test_cancelling_does_not_wait_for_those_who_wait_for_pictures() -> None:
    is_cancelled = threading.Event()

    def paints(arrays: Arrays) -> Iterator[FakeResponse]:
        if "cancel" in arrays:
            is_cancelled.set()
        else:
            assert is_cancelled.wait(30)
            yield finished(0, 7)

    waiting = [FakeRequest(REQUEST) for _ in range(WAITING_AT_ONCE)]
    cancelling = FakeRequest({"prompt": REQUEST["prompt"], "cancel": np.array([b"abc"], dtype=object)})
    ask(FakePbUtils({"demo": paints}), *waiting, cancelling)
    assert [len(request.sender.sent[0].arrays) for request in (waiting[0], waiting[-1], cancelling)] == [3, 3, 0]


def test_a_client_that_leaves_before_the_pipeline_knows_its_token_is_cancelled_all_the_same() -> None:
    is_known, told = threading.Event(), threading.Semaphore(0)

    def paints(arrays: Arrays) -> Iterator[FakeResponse]:
        if "cancel" in arrays:
            told.release()
        else:
            request.sender.client_is_gone = True
            assert told.acquire(timeout=30)  # nobody here bears that token yet
            assert told.acquire(timeout=30)
            is_known.set()
        yield FakeResponse()

    request = FakeRequest(REQUEST)
    ask(FakePbUtils({"demo": paints}), request)
    assert is_known.is_set()
    assert request.sender.is_final


def test_an_error_that_the_pipeline_tells_after_other_answers_is_the_answer() -> None:
    told = b"steps must be between 1 and 50: 0 [invalid_input steps]"
    events = [progress(1), finished(0, 7), answering({"info": np.array([told], dtype=object)})]
    request = FakeRequest(REQUEST)
    ask(FakePbUtils({"demo": lambda _arrays: iter(events)}), request)
    (answer,) = request.sender.sent
    assert (answer.error().message(), answer.error().code()) == (told.decode(), "INVALID_ARG")


def test_more_requests_than_may_wait_are_refused_at_once() -> None:
    may_go_on = threading.Event()

    def paints(_arrays: Arrays) -> Iterator[FakeResponse]:
        assert may_go_on.wait(30)
        yield finished(0, 7)

    stub = ImageStub(FakePbUtils({"demo": paints}), ARGUMENTS)
    waiting, refused = [FakeRequest(REQUEST) for _ in range(WAITING_AT_ONCE)], FakeRequest(REQUEST)
    stub.execute([*waiting, refused])
    error = refused.sender.sent[0].error()
    may_go_on.set()
    stub.close()
    assert error is not None
    assert error.message().startswith("64 requests are in work and there is room for 64")
    assert (error.code(), refused.sender.is_final) == ("UNAVAILABLE", True)
    assert all(request.sender.sent[0].arrays for request in waiting)
    assert stub._places.taken == 0


def test_the_pipeline_is_told_which_process_asks_and_that_it_wants_no_steps() -> None:
    pb_utils = FakePbUtils({"demo": lambda _arrays: iter([finished(0, 7)])})
    ask(pb_utils, FakeRequest(REQUEST))
    ((outputs, parameters),) = pb_utils.asked_for
    assert ("step" in outputs, Caller(json.dumps(parameters)).is_dead) == (False, False)
    assert os.getpid() in parameters.values()
