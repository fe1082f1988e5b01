"""The `onnxruntime` backend, in Python: what stands in for NVIDIA's native one where there is no container.

Speaks Triton's Python API and ONNX Runtime, and leaves every decision to the modules beside it. This folder
stands alone: it needs numpy, onnxruntime and Triton's own helper module, so it serves any model repository.
"""

import json
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import ort_manifest
import ort_settings
import triton_python_backend_utils as pb_utils
from ort_batch import Array, Arrays, Call, Run, RunFailed, run_calls
from ort_runner import Runner, SplitRunner, plain_reason
from ort_signature import ConfigMismatch, Signature, check_array, graph_tensors, make_signature


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
        del self._run

    def _load(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        ort_settings.refuse_unsupported(config)
        device = ort_settings.Device(args["model_instance_kind"], int(args["model_instance_device_id"]))
        version_folder = Path(args["model_repository"]) / args["model_version"]
        file = ort_settings.model_file(config, version_folder)
        ort_manifest.verify(version_folder, file)
        providers = ort_settings.providers(config, device, onnxruntime.get_available_providers())
        session = _open_session(file, ort_settings.session_options(config), providers)
        self._run: Run = self._runner(session, config, device)
        cores = ort_settings.cores_to_split_for(config, device)
        if cores and _bytes_of(file) <= ort_settings.SPLIT_AT_MOST_BYTES:
            alone = _open_session(file, ort_settings.session_options(config, threads=1), providers)
            self._run = SplitRunner(self._run, self._runner(alone, config, device), cores)
        self._signature: Signature = make_signature(
            config,
            graph_tensors(session.get_inputs()),
            graph_tensors(session.get_overridable_initializers()),
            graph_tensors(session.get_outputs()),
        )

    def _runner(
        self, session: onnxruntime.InferenceSession, config: dict[str, Any], device: ort_settings.Device
    ) -> Runner:
        options = ort_settings.run_options(config), ort_settings.trial_run_options(config, device)
        return Runner(self._name, session, *options)

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


def _open_session(
    file: Path, options: onnxruntime.SessionOptions, providers: Sequence[ort_settings.Provider]
) -> onnxruntime.InferenceSession:
    wanted = [(provider.name, dict(provider.options)) for provider in providers]
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=wanted)
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        raise ConfigMismatch(f"ONNX Runtime cannot load {file.name}: {plain_reason(error)}") from None
    missing = [name for name, _ in wanted if name not in session.get_providers()]
    if missing:
        # ONNX Runtime falls back to the CPU with no more than a warning.
        raise ConfigMismatch(f"{missing[0]} could not start on this machine (driver, CUDA or cuDNN missing?)")
    return session


def _bytes_of(file: Path) -> int:
    """With the weights that lie beside it."""
    return sum(each.stat().st_size for each in file.parent.rglob("*") if each.is_file())


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
