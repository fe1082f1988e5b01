import types
from typing import Any

import numpy as np
import pytest

from modelcore import stub
from modelcore.errors import InvalidInput, Overloaded


class FakeTensor:
    def __init__(self, name: str, array: np.ndarray[Any, Any]) -> None:
        self.name, self.array = name, array

    def as_numpy(self) -> np.ndarray[Any, Any]:
        return self.array


class FakeTritonError:
    INVALID_ARG, INTERNAL, UNAVAILABLE = "INVALID_ARG", "INTERNAL", "UNAVAILABLE"

    def __init__(self, message: str, code: str) -> None:
        self.message, self.code = message, code


PB_UTILS = types.SimpleNamespace(
    Tensor=FakeTensor,
    TritonError=FakeTritonError,
    InferenceResponse=lambda output_tensors=(), error=None: types.SimpleNamespace(tensors=output_tensors, error=error),
    get_input_tensor_by_name=lambda request, name: FakeTensor(name, request[name]) if name in request else None,
)


def answer(requests: list[Any], function: Any) -> list[Any]:
    return stub.answer_each(PB_UTILS, requests, ["x", "y"], function)


def test_arrays_go_in_and_out_by_name() -> None:
    (response,) = answer([{"x": np.array([2])}], lambda arrays: {"double": arrays["x"] * 2})
    assert (response.tensors[0].name, response.tensors[0].array.tolist()) == ("double", [4])


def test_a_missing_optional_input_is_left_out() -> None:
    (response,) = answer([{"x": np.array([2])}], lambda arrays: {"n": np.array([len(arrays)])})
    assert response.tensors[0].array.tolist() == [1]


def test_a_bad_request_leaves_the_others_of_its_batch_alone() -> None:
    def refuse_zero(arrays: stub.Arrays) -> stub.Arrays:
        if arrays["x"][0] == 0:
            raise InvalidInput("x must not be 0: 0", field="x")
        return arrays

    good, bad = answer([{"x": np.array([1])}, {"x": np.array([0])}], refuse_zero)
    assert good.error is None
    assert (bad.error.message, bad.error.code) == ("x must not be 0: 0 [invalid_input x]", "INVALID_ARG")


def test_a_full_queue_is_unavailable() -> None:
    def full(arrays: stub.Arrays) -> stub.Arrays:
        raise Overloaded("the queue is full: 8 rows")

    (response,) = answer([{}], full)
    assert response.error.code == "UNAVAILABLE"


def test_our_own_mistake_shows_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    (response,) = answer([{}], lambda arrays: {"x": arrays["secret_name"]})
    assert response.error.code == "INTERNAL"
    assert "secret_name" not in response.error.message
    assert "KeyError" in caplog.text


def test_texts_must_be_utf8() -> None:
    with pytest.raises(InvalidInput, match="UTF-8"):
        stub.texts(np.array([b"\xff"], dtype=object), "text")
