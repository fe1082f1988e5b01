"""numpy arrays to and from the messages of Triton's protocol. Knows bytes, no network."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2
from tritonclient.utils import (
    deserialize_bytes_tensor,
    np_to_triton_dtype,
    serialize_byte_tensor,
    triton_to_np_dtype,
)

Array = NDArray[Any]
Arrays = dict[str, Array]


def infer_request(model: str, inputs: Mapping[str, Array]) -> service_pb2.ModelInferRequest:
    """All inputs as raw bytes; all outputs are asked for, since none is named."""
    request = service_pb2.ModelInferRequest(model_name=model)
    for name, array in inputs.items():
        request.inputs.add(name=name, datatype=np_to_triton_dtype(array.dtype), shape=array.shape)
        request.raw_input_contents.append(_raw(array))
    return request


def output_arrays(response: service_pb2.ModelInferResponse) -> Arrays:
    return {
        tensor.name: _array(raw, tensor.datatype, tensor.shape)
        for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def column_of_bytes(items: list[bytes]) -> Array:
    """Byte strings as the (n, 1) BYTES tensor our models take."""
    column = np.empty((len(items), 1), dtype=np.object_)
    column[:, 0] = items
    return column


def _raw(array: Array) -> bytes:
    if array.dtype == np.object_:
        serialized = serialize_byte_tensor(array)
        return bytes(serialized.item()) if serialized.size else b""
    return array.tobytes()


def _array(raw: bytes, datatype: str, shape: Any) -> Array:
    if datatype == "BYTES":
        flat: Array = deserialize_bytes_tensor(raw)
    else:
        flat = np.frombuffer(raw, dtype=triton_to_np_dtype(datatype))
    return flat.reshape(tuple(shape))
