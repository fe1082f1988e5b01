import json
import os
import subprocess
import sys
import weakref

import numpy as np
from numpy.typing import NDArray

from modelcore.diffusion.events import Finished, Progress
from modelcore.errors import InvalidInput
from modelcore.stub_stream import Cancellations, ResponseStream
from tests.fake_pb_utils import FakePbUtils, FakeRequest

PROGRESS = Progress(index=1, step=3, steps=20, eta_s=1.5, preview=b"")
FINISHED = Finished(index=1, seed=7, image=b"png", info={"model": "demo"})


def stream_of(request: FakeRequest, cancellations: Cancellations | None = None, token: bytes = b"") -> ResponseStream:
    return ResponseStream(FakePbUtils(), request, cancellations or Cancellations(), token)


def test_progress_is_sent_with_what_it_has() -> None:
    request = FakeRequest({})
    stream_of(request).progress(PROGRESS)
    (response,) = request.sender.sent
    values = {name: array.tolist() for name, array in response.arrays.items()}
    assert values == {"index": [1], "step": [3], "steps": [20], "eta_s": [1.5]}


def test_a_preview_is_sent_where_there_is_one() -> None:
    request = FakeRequest({})
    stream_of(request).progress(Progress(0, 1, 2, 0.1, b"jpeg"))
    assert request.sender.sent[0].arrays["preview"].tolist() == [b"jpeg"]


def test_a_finished_picture_is_sent_with_its_seed_and_info() -> None:
    request = FakeRequest({})
    stream_of(request).finished(FINISHED)
    arrays = request.sender.sent[0].arrays
    assert (arrays["image"][0], arrays["seed"].tolist(), arrays["info"][0]) == (b"png", [7], b'{"model": "demo"}')


def test_a_stream_ends_with_the_final_flag() -> None:
    request = FakeRequest({})
    stream_of(request).closed()
    assert (request.sender.sent, request.sender.is_final) == ([], True)


def test_an_error_is_the_last_thing_that_is_sent() -> None:
    request = FakeRequest({})
    stream = stream_of(request)
    stream.failed(InvalidInput("steps must be between 1 and 100: 0", field="steps"))
    stream.finished(FINISHED)
    stream.closed()
    error = request.sender.sent[-1].error()
    assert error is not None
    assert (error.message(), error.code()) == (
        "steps must be between 1 and 100: 0 [invalid_input steps]",
        "INVALID_ARG",
    )
    assert request.sender.is_final


def test_an_error_that_is_kept_holds_nothing_of_the_request() -> None:
    stream = stream_of(FakeRequest({}))
    prompt = refuse(stream)
    assert prompt() is None


def refuse(stream: ResponseStream) -> "weakref.ref[NDArray[np.uint8]]":
    """The prompt of a request that was refused, as long as somebody holds it."""
    prompt = np.zeros(8, np.uint8)
    try:
        try:
            raise ValueError
        except ValueError as cause:
            raise InvalidInput("a prompt may have 4 bytes: 8") from cause
    except InvalidInput as error:
        stream.failed(error)
    return weakref.ref(prompt)


def test_who_asks_for_no_steps_hears_of_the_first_alone() -> None:
    stream = stream_of(FakeRequest({}, outputs=("index", "image", "seed", "info")))
    wanted = [stream.wants_progress]
    stream.progress(PROGRESS)
    assert [*wanted, stream.wants_progress] == [True, False]


def test_who_asks_for_steps_hears_of_all() -> None:
    stream = stream_of(FakeRequest({}, outputs=("step",)))
    stream.progress(PROGRESS)
    assert stream.wants_progress


def test_to_a_dead_caller_nothing_is_sent_and_its_request_is_cancelled() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as caller:
        request = FakeRequest({}, parameters=json.dumps({"triptych_caller": caller.pid}))
        stream = stream_of(request)
        was_cancelled = stream.is_cancelled()
        caller.kill()
        assert os.waitid(os.P_PID, caller.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
        stream.progress(PROGRESS)
        stream.finished(FINISHED)
        stream.closed()
    assert (was_cancelled, request.sender.sent, request.sender.is_final) == (False, [], False)


def test_a_calling_model_hears_of_an_error_in_an_answer_before_the_last() -> None:
    """Triton 2.51 would lose it, and the end with it, had there been any answer before."""
    request = FakeRequest({}, parameters=json.dumps({"triptych_caller": os.getpid()}))
    stream = stream_of(request)
    stream.failed(InvalidInput("steps must be between 1 and 50: 0", field="steps"))
    stream.closed()
    (told,) = request.sender.sent
    assert told.arrays["info"].item() == b"steps must be between 1 and 50: 0 [invalid_input steps]"
    assert request.sender.is_final


def test_a_caller_that_never_was_counts_as_dead() -> None:
    request = FakeRequest({}, parameters=json.dumps({"triptych_caller": 10**12}))
    assert stream_of(request).is_cancelled()


def test_a_client_that_is_gone_has_cancelled() -> None:
    request = FakeRequest({})
    stream = stream_of(request)
    assert not stream.is_cancelled()
    request.sender.client_is_gone = True
    assert stream.is_cancelled()


def test_a_calling_model_that_lives_has_not_left_whatever_triton_says() -> None:
    """It is not even asked: that takes the processor from the network, 50 times a second."""
    request = FakeRequest({}, parameters=json.dumps({"triptych_caller": os.getpid()}))
    request.sender.client_is_gone = True
    assert not stream_of(request).is_cancelled()


def test_who_has_had_his_last_answer_is_not_asked_again() -> None:
    request = FakeRequest({})
    stream = stream_of(request)
    request.sender.client_is_gone = True
    stream.closed()
    assert not stream.is_cancelled()


def test_the_token_of_a_request_cancels_it() -> None:
    cancellations = Cancellations()
    stream = stream_of(FakeRequest({}), cancellations, b"abc")
    other = stream_of(FakeRequest({}), cancellations, b"xyz")
    cancellations.cancel(b"abc")
    assert (stream.is_cancelled(), other.is_cancelled()) == (True, False)


def test_a_token_is_worth_nothing_once_its_request_is_over() -> None:
    cancellations = Cancellations()
    stream_of(FakeRequest({}), cancellations, b"abc").closed()
    cancellations.cancel(b"abc")
    assert not stream_of(FakeRequest({}), cancellations, b"abc").is_cancelled()


def test_sent_numbers_have_the_types_of_the_configuration() -> None:
    request = FakeRequest({})
    stream = stream_of(request)
    stream.progress(PROGRESS)
    stream.finished(FINISHED)
    types = {name: array.dtype for response in request.sender.sent for name, array in response.arrays.items()}
    assert (types["step"], types["eta_s"], types["seed"]) == (np.int32, np.float32, np.int64)


def test_requests_that_share_a_token_are_cancelled_together_until_each_is_over() -> None:
    cancellations = Cancellations()
    staying, over = (stream_of(FakeRequest({}), cancellations, b"abc") for _ in range(2))
    over.closed()
    cancellations.cancel(b"abc")
    later = stream_of(FakeRequest({}), cancellations, b"abc")
    assert (staying.is_cancelled(), over.is_cancelled(), later.is_cancelled()) == (True, False, False)


def test_of_requests_that_are_over_no_token_is_kept() -> None:
    cancellations = Cancellations()
    for stream in [stream_of(FakeRequest({}), cancellations, b"abc") for _ in range(2)]:
        stream.closed()
    assert not cancellations.cancel(b"abc")
    assert not cancellations._watching
