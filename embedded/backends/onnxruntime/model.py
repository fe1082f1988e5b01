"""The `onnxruntime` backend, in Python: what stands in for NVIDIA's native one where there is no container.

Speaks Triton's Python API and ONNX Runtime, and leaves every decision to the modules beside it. This folder
stands alone: it needs numpy, onnxruntime and Triton's own helper module, so it serves any model repository.
"""

import json
import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import ort_manifest
import ort_settings
import triton_python_backend_utils as pb_utils
from ort_batch import Array, Arrays, Call, RunFailed, run_calls
from ort_signature import ConfigMismatch, Signature, check_array, graph_tensors, make_signature

# ONNX Runtime puts its own name and a code before each message, and its source file and function into some.
_ORT_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_ORT_NODE = re.compile(
    r"^Non-zero status code returned while running (?P<kind>\w+) node\. Name:'(?P<name>[^']*)' "
    r"Status Message: (?:/\S+:\d+ .*?\([^)]*\)(?: const)? )?(?P<reason>.*)"
)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._name = args["model_name"]
        try:
            self._load(args)
        except ConfigMismatch as mismatch:
            raise pb_utils.TritonModelException(str(mismatch)) from None

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        try:
            return self._answer(requests)
        except Exception:
            # The edge of the process: what gets past here reaches the client with a traceback.
            pb_utils.Logger.log_error(f"model '{self._name}' failed: {traceback.format_exc()}")
            return [_refusal(f"model '{self._name}' failed; the server's log has the reason", False) for _ in requests]

    def finalize(self) -> None:
        del self._session

    def _load(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        ort_settings.refuse_unsupported(config)
        device = ort_settings.Device(args["model_instance_kind"], int(args["model_instance_device_id"]))
        version_folder = Path(args["model_repository"]) / args["model_version"]
        file = ort_settings.model_file(config, version_folder)
        ort_manifest.verify(version_folder, file)
        providers = ort_settings.providers(config, device, onnxruntime.get_available_providers())
        self._session = _open_session(file, ort_settings.session_options(config), providers)
        self._run_options = ort_settings.run_options(config)
        self._trial_options = ort_settings.trial_run_options(config, device)
        self._proven_bytes = 0  # the largest inputs of a run that has succeeded
        self._signature: Signature = make_signature(
            config,
            graph_tensors(self._session.get_inputs()),
            graph_tensors(self._session.get_overridable_initializers()),
            graph_tensors(self._session.get_outputs()),
        )

    def _answer(self, requests: Sequence[Any]) -> list[Any]:
        calls: list[Call] = []
        refused: dict[int, RunFailed] = {}
        for position, request in enumerate(requests):
            try:
                calls.append(self._read(request))
            except RunFailed as problem:
                refused[position] = problem.without_frames()
        answers = iter(run_calls(calls, self._run, batches=self._signature.batches))
        return [_response(refused.get(position) or next(answers)) for position in range(len(requests))]

    def _read(self, request: Any) -> Call:
        inputs: dict[str, Array] = {}
        for rule in self._signature.inputs:
            tensor = pb_utils.get_input_tensor_by_name(request, rule.name)
            if tensor is None and rule.optional:
                continue
            if tensor is None:
                raise RunFailed(f"input '{rule.name}' is missing", is_callers_fault=True)
            array = tensor.as_numpy()
            array = array.reshape(()) if not rule.dims and array.size == 1 else array
            problem = check_array(rule, array)
            if problem is not None:
                raise RunFailed(problem, is_callers_fault=True)
            inputs[rule.name] = _to_text(rule.name, array) if array.dtype == np.object_ else array
        return Call(inputs, tuple(request.requested_output_names()))

    def _run(self, outputs: Sequence[str], inputs: Arrays) -> Sequence[Array]:
        input_bytes = sum(array.nbytes for array in inputs.values())
        options = self._run_options if input_bytes <= self._proven_bytes else self._trial_options
        try:
            results: Sequence[Array] = self._session.run(list(outputs), inputs, options)
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            reason = _plain_reason(error)
            fault = type(error).__name__ == "InvalidArgument"
            raise RunFailed(f"model '{self._name}' could not run: {reason}", is_callers_fault=fault) from None
        self._proven_bytes = max(self._proven_bytes, input_bytes)
        return results


def _open_session(
    file: Path, options: onnxruntime.SessionOptions, providers: Sequence[ort_settings.Provider]
) -> onnxruntime.InferenceSession:
    wanted = [(provider.name, dict(provider.options)) for provider in providers]
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=wanted)
    except Exception as error:  # see _run
        raise ConfigMismatch(f"ONNX Runtime cannot load {file.name}: {_plain_reason(error)}") from None
    missing = [name for name, _ in wanted if name not in session.get_providers()]
    if missing:
        # ONNX Runtime falls back to the CPU with no more than a warning.
        raise ConfigMismatch(f"{missing[0]} could not start on this machine (driver, CUDA or cuDNN missing?)")
    return session


def _plain_reason(error: Exception) -> str:
    """The first line of what ONNX Runtime says, without what only its authors can use."""
    line = _ORT_PREFIX.sub("", str(error)).partition("\n")[0]
    node = _ORT_NODE.match(line)
    return line if node is None else f"node '{node['name']}' ({node['kind']}): {node['reason']}"


def _to_text(name: str, array: Array) -> Array:
    """Triton's BYTES are bytes, ONNX's strings are text."""
    try:
        texts = [item.decode() if isinstance(item, bytes) else item for item in array.ravel()]
    except UnicodeDecodeError:
        raise RunFailed(f"input '{name}': a string tensor takes UTF-8 text", is_callers_fault=True) from None
    return np.array(texts, dtype=np.object_).reshape(array.shape)


def _response(answer: Arrays | RunFailed) -> Any:
    if isinstance(answer, RunFailed):
        return _refusal(answer.reason, answer.is_callers_fault)
    # A rank 0 output is served with the dims [1] that config.pbtxt gives it.
    tensors = [pb_utils.Tensor(name, array.reshape(1) if array.ndim == 0 else array) for name, array in answer.items()]
    return pb_utils.InferenceResponse(output_tensors=tensors)


def _refusal(reason: str, is_callers_fault: bool) -> Any:
    code = pb_utils.TritonError.INVALID_ARG if is_callers_fault else pb_utils.TritonError.INTERNAL
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(reason, code))
