"""What every python model does between Triton's requests and plain arrays.

Is handed `pb_utils` and never imports it, so that all of this is tested without a server. A shim in
model_repository/<model>/1/model.py reads its files in `initialize` and calls `answer_each` in `execute`.
"""

import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelcore.errors import InternalFault, InvalidInput, TriptychError, Unavailable, to_wire
from modelcore.manifest import read_manifest, verify, weights_name

Arrays = dict[str, NDArray[Any]]

_log = logging.getLogger(__name__)


def version_folder(arguments: Mapping[str, str]) -> Path:
    """The folder of the model version that is being loaded, once its files are found to be what export wrote."""
    folder = Path(arguments["model_repository"], arguments["model_version"])
    verify(folder)
    return folder


def weights_of(folder: Path) -> bytes:
    """The name of the weights behind this version, for who must know whether two answers may be compared."""
    manifest = read_manifest(folder)
    return weights_name(manifest).encode() if manifest else b"unknown"


def input_names(arguments: Mapping[str, str]) -> list[str]:
    return [str(tensor["name"]) for tensor in json.loads(arguments["model_config"])["input"]]


def answer_each(
    pb_utils: Any,
    requests: Sequence[Any],
    names: Sequence[str],
    function: Callable[[Arrays], Arrays],
) -> list[Any]:
    """One response per request: a bad request is refused alone and leaves the others of its batch untouched."""
    return [_answer(pb_utils, request, names, function) for request in requests]


def column(item: bytes, rows: int) -> NDArray[Any]:
    """The same BYTES for every row of a batch: (rows, 1)."""
    return np.full((rows, 1), item, dtype=np.object_)


def texts(array: NDArray[Any], field: str) -> list[str]:
    """The strings of a BYTES tensor."""
    try:
        return [bytes(item).decode("utf-8") for item in array.reshape(-1)]
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{field} must be UTF-8 text", field=field) from error


def _answer(pb_utils: Any, request: Any, names: Sequence[str], function: Callable[[Arrays], Arrays]) -> Any:
    try:
        answer = function(arrays_of(pb_utils, request, names))
    except TriptychError as error:
        return refusal(pb_utils, error)
    except Exception:
        # The edge of the process: Triton would send our traceback to the client.
        return refusal(pb_utils, logged_fault())
    return response(pb_utils, answer)


def arrays_of(pb_utils: Any, request: Any, names: Sequence[str]) -> Arrays:
    """Those that the request has; the optional ones may be missing. Copies, which outlive the request."""
    found = ((name, pb_utils.get_input_tensor_by_name(request, name)) for name in names)
    return {name: np.array(tensor.as_numpy()) for name, tensor in found if tensor is not None}


def response(pb_utils: Any, arrays: Arrays) -> Any:
    tensors = [pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in arrays.items()]
    return pb_utils.InferenceResponse(output_tensors=tensors)


def logged_fault() -> InternalFault:
    """For the exception that is being handled: its story goes to the log, its id to the client."""
    fault = InternalFault(f"internal fault {uuid.uuid4().hex[:12]}; the server's log tells more")
    _log.exception("%s", fault.detail)
    return fault


def refusal(pb_utils: Any, error: TriptychError) -> Any:
    if isinstance(error, InternalFault):
        status = pb_utils.TritonError.INTERNAL
    elif isinstance(error, Unavailable):
        status = pb_utils.TritonError.UNAVAILABLE
    else:
        status = pb_utils.TritonError.INVALID_ARG
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(to_wire(error), status))
