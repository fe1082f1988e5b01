"""Triton's `pb_utils` as our stubs use it: requests, responses and streams that a test can look into. No server.

What it does and refuses is what Triton 2.51 was seen to do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

FINAL = 1
Arrays = Mapping[str, NDArray[Any]]


class FakeTensor:
    def __init__(self, name: str, array: NDArray[Any]) -> None:
        self._name, self.array = name, array

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> NDArray[Any]:
        return self.array


class FakeTritonError:
    INVALID_ARG, INTERNAL, UNAVAILABLE = "INVALID_ARG", "INTERNAL", "UNAVAILABLE"

    def __init__(self, message: str, code: str = "INTERNAL") -> None:
        self._message, self._code = message, code

    def message(self) -> str:
        return self._message

    def code(self) -> str:
        return self._code


class FakeResponse:
    def __init__(self, output_tensors: Sequence[FakeTensor] = (), error: FakeTritonError | None = None) -> None:
        self._tensors, self._error = list(output_tensors), error

    def output_tensors(self) -> list[FakeTensor]:
        return self._tensors

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> FakeTritonError | None:
        return self._error

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        return {tensor.name(): tensor.array for tensor in self._tensors}


@dataclass
class FakeSender:
    """Keeps what is sent; nothing may come after the final flag."""

    sent: list[FakeResponse] = field(default_factory=list)
    is_final: bool = False
    client_is_gone: bool = False

    def send(self, response: FakeResponse | None = None, flags: int = 0) -> None:
        assert not self.is_final, "nothing may be sent after the final flag"
        if response is not None:
            self.sent.append(response)
        self.is_final = flags == FINAL

    def is_cancelled(self) -> bool:
        assert not self.is_final, "to ask after the final flag ends Triton 2.51"
        return self.client_is_gone


class FakeRequest:
    """Whoever asks for no outputs by name asks for all, as Triton tells it."""

    def __init__(
        self, inputs: Arrays, *, outputs: Sequence[str] = ("index", "step", "image"), parameters: str = "{}"
    ) -> None:
        self.inputs = inputs
        self.sender = FakeSender()
        self._outputs, self._parameters = outputs, parameters

    def requested_output_names(self) -> list[str]:
        return list(self._outputs)

    def parameters(self) -> str:
        return self._parameters

    def get_response_sender(self) -> FakeSender:
        return self.sender


class FakeTritonModelException(Exception):
    pass


@dataclass
class FakePbUtils:
    """`models` answer calls from model to model: given a call's inputs, its responses."""

    models: dict[str, Callable[[Arrays], Iterator[FakeResponse]]] = field(default_factory=dict)
    calls: list[tuple[str, Arrays]] = field(default_factory=list)
    asked_for: list[tuple[Sequence[str], Mapping[str, int]]] = field(default_factory=list)  # outputs, parameters

    TRITONSERVER_RESPONSE_COMPLETE_FINAL = FINAL
    Tensor = FakeTensor
    TritonError = FakeTritonError
    InferenceResponse = FakeResponse
    TritonModelException = FakeTritonModelException

    def get_input_tensor_by_name(self, request: FakeRequest, name: str) -> FakeTensor | None:
        return FakeTensor(name, request.inputs[name]) if name in request.inputs else None

    def get_output_tensor_by_name(self, response: FakeResponse, name: str) -> FakeTensor | None:
        return next((tensor for tensor in response.output_tensors() if tensor.name() == name), None)

    def InferenceRequest(
        self,
        model_name: str,
        inputs: Sequence[FakeTensor],
        requested_output_names: Sequence[str],
        parameters: Mapping[str, int] | None = None,
    ) -> SimpleNamespace:
        arrays = {tensor.name(): tensor.array for tensor in inputs}

        def exec(decoupled: bool = False) -> Any:
            self.calls.append((model_name, arrays))
            self.asked_for.append((requested_output_names, parameters or {}))
            if model_name not in self.models:
                failure = FakeTritonError(f"Model '{model_name}' is not ready.")
                return iter([FakeResponse(error=failure)]) if decoupled else FakeResponse(error=failure)
            responses = self.models[model_name](arrays)
            return responses if decoupled else next(responses)

        return SimpleNamespace(exec=exec)


def answering(arrays: Arrays) -> FakeResponse:
    return FakeResponse([FakeTensor(name, np.asarray(array)) for name, array in arrays.items()])


def failing(message: str, code: str = "INTERNAL") -> FakeResponse:
    return FakeResponse(error=FakeTritonError(message, code))
