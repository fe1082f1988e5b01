"""One request to a family's pipeline over a gRPC stream, as its events come. Knows Triton's client, no terminal."""

import queue
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from modelcore.contract import DataType
from modelcore.errors import SetupProblem, TriptychError, from_wire
from modelcore.pipeline_models import pipeline_models

Event = dict[str, NDArray[Any]]
_NUMPY = {
    DataType.BOOL: np.bool_,
    DataType.BYTES: np.object_,
    DataType.INT32: np.int32,
    DataType.INT64: np.int64,
    DataType.FP32: np.float32,
}


@dataclass(frozen=True)
class Painter:
    """Where Triton is, and which family paints."""

    address: str
    family: str

    @contextmanager
    def paint(self, wishes: Mapping[str, object]) -> Iterator[Iterator[Event]]:
        """The events of one request. Leaving the `with`, however it is left, ends the work on it."""
        answers = _Answers()
        client = triton.InferenceServerClient(self.address)
        # Without the header `triton_grpc_error`, since an error in such a stream may end Triton 2.51: docs/painting.md
        client.start_stream(lambda result, error: answers.waiting.put((result, error)))
        try:
            with suppress(InferenceServerException):  # a stream that has broken already: its error is among the answers
                client.async_stream_infer(self.family, self._inputs(wishes), enable_empty_final_response=True)
            yield self._events(answers)
        finally:
            # To cancel what is over makes Triton 2.51 keep the connection's socket for ever, one time in twelve.
            client.stop_stream(cancel_requests=not answers.are_over)
            client.close()

    def _inputs(self, wishes: Mapping[str, object]) -> list[Any]:
        """Those that were wished for; for the others the family has defaults."""
        streamed, _ = pipeline_models(self.family)
        return [
            _input(tensor.name, tensor.data_type, wishes[tensor.name])
            for tensor in streamed.inputs
            if wishes.get(tensor.name) is not None
        ]

    def _events(self, answers: "_Answers") -> Iterator[Event]:
        while not answers.are_over:
            result, error = answers.waiting.get()
            if error is not None:
                answers.are_over = True
                raise self._refusal(error)
            response = result.get_response()
            answers.are_over = response.parameters["triton_final_response"].bool_param
            if response.outputs:
                yield {output.name: result.as_numpy(output.name) for output in response.outputs}

    def _refusal(self, error: InferenceServerException) -> TriptychError:
        ours = from_wire(error.message())
        if ours is not None:
            return ours
        if re.search("unknown model: .* is not found", error.message()):
            return SetupProblem(
                f"Triton at {self.address} serves no family {self.family!r}: `triptych models` lists what it serves; "
                "`triptych export FAMILY` and a new start add one"
            )
        if error.status() == "StatusCode.UNAVAILABLE" and "unknown model" not in error.message():
            return SetupProblem(
                f"no Triton answers at {self.address}: `triptych up` starts one, "
                "--triton-grpc-port chooses another port"
            )
        if "is not healthy" in error.message():
            return SetupProblem(f"the process of {self.family} has stopped: `triptych up` repairs it within seconds")
        return SetupProblem(f"{self.family} does not paint: {error.message()}")


@dataclass
class _Answers:
    """Of one stream, as the client's own thread hears them."""

    waiting: "queue.SimpleQueue[tuple[Any, Any]]" = field(default_factory=queue.SimpleQueue)
    are_over: bool = False


def _input(name: str, data_type: DataType, value: object) -> Any:
    array = np.array(value, dtype=_NUMPY[data_type]).reshape(-1)
    tensor = triton.InferInput(name, list(array.shape), data_type)
    tensor.set_data_from_numpy(array)
    return tensor
