"""config.pbtxt's keys as ONNX Runtime session options and execution providers.

The keys, their values and their defaults are those of NVIDIA's native backend, but for `split_rows`. What cannot be
honoured is refused by name, never ignored: a model that asks for TensorRT and silently runs on the CPU is the worse
surprise.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import onnxruntime
from ort_signature import ConfigMismatch

# optimization { graph { level } }: anything else, and nothing said, is everything.
_GRAPH_LEVELS = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_SESSION_ENTRY_PREFIXES = ("session.", "optimization.", "mlas.", "ep.")
_ARENA_SHRINKAGE = "memory.enable_memory_arena_shrinkage"
# Threads that wait for work by spinning burn their core: by ONNX Runtime's own default for milliseconds, and other
# models' processes starve. This long is as long as most nodes of a graph take: a thread that sleeps between two of them
# costs a lone model a sixth of its speed (docs/embedded-triton.md has what was measured).
_SPINNING = {"session.intra_op.allow_spinning": "1", "session.intra_op.spin_duration_us": "20"}
_SPLIT_ROWS = "split_rows"
# A session of one thread has weights of its own. And the larger a graph's nodes are, the less is to be gained.
SPLIT_AT_MOST_BYTES = 64 * 2**20
_CUDA_PARAMETERS: Mapping[str, Mapping[str, str] | None] = {
    "cudnn_conv_algo_search": {"0": "EXHAUSTIVE", "1": "HEURISTIC", "2": "DEFAULT"},
    "gpu_mem_limit": None,
    "arena_extend_strategy": {"0": "kNextPowerOfTwo", "1": "kSameAsRequested"},
    "do_copy_in_default_stream": None,
}
_BOOLEANS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True)
class Device:
    """Where Triton put the instance."""

    kind: str
    number: int

    @property
    def is_gpu(self) -> bool:
        return self.kind == "GPU"


@dataclass(frozen=True)
class Provider:
    name: str
    options: Mapping[str, str] = field(default_factory=dict)


def session_options(config: Mapping[str, Any], threads: int = 0) -> onnxruntime.SessionOptions:
    """With so many threads for each node, or as the config says."""
    parameters = _parameters(config)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = _graph_level(config)
    options.execution_mode = _choice(
        parameters,
        "execution_mode",
        {
            "0": onnxruntime.ExecutionMode.ORT_SEQUENTIAL,
            "1": onnxruntime.ExecutionMode.ORT_PARALLEL,
        },
        "0",
    )
    options.intra_op_num_threads = threads or _count(parameters, "intra_op_thread_count")
    options.inter_op_num_threads = _count(parameters, "inter_op_thread_count")
    options.enable_cpu_mem_arena = _has_arena(parameters)
    options.enable_mem_pattern = _choice(parameters, "enable_mem_pattern", _BOOLEANS, "1")
    for key, value in (_SPINNING | parameters).items():
        if key.startswith(_SESSION_ENTRY_PREFIXES):
            options.add_session_config_entry(key, value)
    return options


def run_options(config: Mapping[str, Any]) -> onnxruntime.RunOptions:
    options = onnxruntime.RunOptions()
    shrinkage = _parameters(config).get(_ARENA_SHRINKAGE)
    if shrinkage is not None:
        options.add_run_config_entry(_ARENA_SHRINKAGE, shrinkage)
    return options


def trial_run_options(config: Mapping[str, Any], device: Device) -> onnxruntime.RunOptions:
    """For a run larger than any that has succeeded: the arena gives its memory back, for this may never be asked again.

    A graph may work on gigabytes before it finds that an input is too long, and an arena keeps what it has ever had.
    """
    options = run_options(config)
    # Where there is no arena, to ask for less of it is an error.
    if not device.is_gpu and _ARENA_SHRINKAGE not in _parameters(config) and _has_arena(_parameters(config)):
        options.add_run_config_entry(_ARENA_SHRINKAGE, "cpu:0")
    return options


def cores_to_split_for(config: Mapping[str, Any], device: Device) -> int:
    """Among how many cores a call's rows are to be shared out; 0 where all cores compute all rows together.

    For graphs whose config says that they may be, so that nobody's results depend on it who has not asked for it.
    """
    parameters = _parameters(config)
    if device.is_gpu or not _choice(parameters, _SPLIT_ROWS, _BOOLEANS, "0"):
        return 0
    cores = len(os.sched_getaffinity(0))
    has_threads_of_its_own = _count(parameters, "intra_op_thread_count") or parameters.get("execution_mode") == "1"
    return cores if int(config.get("max_batch_size", 0)) >= cores > 1 and not has_threads_of_its_own else 0


def model_file(config: Mapping[str, Any], version_folder: Path) -> Path:
    """The graph's file inside the version's folder; a folder of that name holds `model.onnx` and its data."""
    name = config.get("default_model_filename") or "model.onnx"
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise ConfigMismatch(f"default_model_filename must stay inside the model's folder: '{name}'")
    file = version_folder / name
    file = file / "model.onnx" if file.is_dir() else file
    if not file.is_file():
        raise ConfigMismatch(f"there is no '{file.relative_to(version_folder.parent)}' in the model's folder")
    return file


def providers(config: Mapping[str, Any], device: Device, available: Sequence[str]) -> tuple[Provider, ...]:
    """Execution providers in order of preference, each one really there."""
    accelerators = (config.get("optimization") or {}).get("execution_accelerators") or {}
    for accelerator in accelerators.get("cpu_execution_accelerator") or []:
        raise _refused(accelerator["name"], "no CPU accelerator is supported")
    wanted = [_gpu_provider(each, device) for each in accelerators.get("gpu_execution_accelerator") or []]
    if device.is_gpu and not any(provider.name == "CUDAExecutionProvider" for provider in wanted):
        wanted.append(_cuda({}, device))
    wanted = [_with_cuda_parameters(provider, _parameters(config)) for provider in wanted]
    for provider in wanted:
        if provider.name not in available:
            raise ConfigMismatch(
                f"this instance needs {provider.name}, which the installed onnxruntime does not have: "
                "install onnxruntime-gpu in its place, or use KIND_CPU"
            )
    return (*wanted, Provider("CPUExecutionProvider"))


def refuse_unsupported(config: Mapping[str, Any]) -> None:
    """Features of the native backend, or of Triton, that a Python-based backend has no way to give."""
    for key in ("sequence_batching", "model_operations"):
        if config.get(key):
            raise ConfigMismatch(f"{key} is not supported by the embedded onnxruntime backend")
    for key in ("batch_input", "batch_output"):
        if config.get(key):
            raise ConfigMismatch(f"{key} (ragged batching) is not supported by the embedded onnxruntime backend")
    for declared in config["input"]:
        if declared.get("allow_ragged_batch"):
            raise ConfigMismatch(
                f"input '{declared['name']}': allow_ragged_batch is not supported by the embedded onnxruntime backend"
            )


def _parameters(config: Mapping[str, Any]) -> dict[str, str]:
    return {key: value["string_value"] for key, value in (config.get("parameters") or {}).items()}


def _has_arena(parameters: Mapping[str, str]) -> bool:
    return bool(_choice(parameters, "enable_mem_arena", _BOOLEANS, "1"))


def _graph_level(config: Mapping[str, Any]) -> onnxruntime.GraphOptimizationLevel:
    graph = (config.get("optimization") or {}).get("graph") or {}
    return _GRAPH_LEVELS.get(int(graph.get("level", 0)), onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)


def _choice(parameters: Mapping[str, str], key: str, choices: Mapping[str, Any], default: str) -> Any:
    value = parameters.get(key, default)
    if value.lower() not in choices:
        raise ConfigMismatch(f"parameter {key} must be one of {', '.join(choices)}: '{value}'")
    return choices[value.lower()]


def _count(parameters: Mapping[str, str], key: str) -> int:
    value = parameters.get(key, "0")
    if not value.isdecimal():
        raise ConfigMismatch(f"parameter {key} must be a number of threads, 0 for one per core: '{value}'")
    return int(value)


def _refused(name: str, why: str) -> ConfigMismatch:
    return ConfigMismatch(f"execution accelerator '{name}' cannot be honoured here: {why}")


def _gpu_provider(accelerator: Mapping[str, Any], device: Device) -> Provider:
    name, parameters = accelerator["name"], accelerator.get("parameters") or {}
    known: Mapping[str, Callable[[Mapping[str, str], Device], Provider]] = {"cuda": _cuda}
    if name not in known:
        raise _refused(name, "only 'cuda' is supported; NVIDIA's container has 'tensorrt'")
    if not device.is_gpu:
        raise _refused(name, f"the instance is on the {device.kind}")
    return known[name](parameters, device)


def _cuda(parameters: Mapping[str, str], device: Device) -> Provider:
    return Provider("CUDAExecutionProvider", {**parameters, "device_id": str(device.number)})


def _with_cuda_parameters(provider: Provider, parameters: Mapping[str, str]) -> Provider:
    """The native backend's older way: CUDA options as plain model parameters, some of them as numbers."""
    options = dict(provider.options)
    for key, choices in _CUDA_PARAMETERS.items():
        if key in parameters:
            options[key] = parameters[key] if choices is None else _choice(parameters, key, choices, "0")
    return Provider(provider.name, options)
