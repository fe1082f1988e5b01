"""Arrays through Triton's messages and back."""

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from orchestrator.tensors import Array, column_of_bytes, infer_request, output_arrays

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.array([[1.5]], np.float16),
    np.array([True, False]),
    np.array([[1], [2]], np.int64),
    np.array([3], np.int32),
    np.zeros((0, 4), np.float32),
    column_of_bytes([b"", b"\x00\xff", "é".encode()]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_an_array_survives_the_journey(array: Array) -> None:
    request = infer_request("echo", {"tensor": array})
    response = service_pb2.ModelInferResponse(raw_output_contents=request.raw_input_contents)
    (sent,) = request.inputs
    response.outputs.add(name=sent.name, datatype=sent.datatype, shape=sent.shape)
    received = output_arrays(response)["tensor"]
    assert (received.dtype, received.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(received, array)


def test_byte_strings_become_a_column() -> None:
    assert column_of_bytes([b"a", b"b"]).shape == (2, 1)
