"""A ServedModel as config.pbtxt, and back as protobuf. Knows the text format, no particular model and no server."""

import json
from collections.abc import Iterator
from typing import Literal

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from modelcore.contract import EnsembleStep, GpuProfile, InstanceGroup, ServedModel, Tensor

Profile = Literal["default", "gpu"]

_HEADER = "# Generated from modelcore/catalog.py by `make configs`. Do not edit."


def render(model: ServedModel, profile: Profile = "default") -> str:
    """The whole configuration. `max_batch_size: 0` is written out too: auto-complete is off."""
    lines = [
        _HEADER,
        f"# {model.about}",
        f"name: {_quoted(model.name)}",
        _backend(model, profile),
        *_file(model, profile),
        f"max_batch_size: {model.max_batch_size}",
        *_transactions(model),
        *(line for tensor in model.inputs for line in _tensor("input", tensor)),
        *(line for tensor in model.outputs for line in _tensor("output", tensor)),
        *_dynamic_batching(model),
        *_instances(model, profile),
        *_accelerators(model, profile),
        *_warmups(model, profile),
        *_response_cache(model),
        *_parameters(model, profile),
        *_ensemble(model.steps),
    ]
    return "\n".join(lines) + "\n"


def parse(text: str) -> model_config_pb2.ModelConfig:
    """The configuration as Triton's own protobuf message; unknown or misspelt keys raise ParseError."""
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def _backend(model: ServedModel, profile: Profile) -> str:
    if model.backend == "ensemble":
        return 'platform: "ensemble"'
    gpu = _gpu(model, profile)
    return f"backend: {_quoted(gpu.backend if gpu and gpu.backend else model.backend)}"


def _file(model: ServedModel, profile: Profile) -> Iterator[str]:
    gpu = _gpu(model, profile)
    if gpu and gpu.file:
        yield f"default_model_filename: {_quoted(gpu.file)}"


def _gpu(model: ServedModel, profile: Profile) -> GpuProfile | None:
    return model.gpu if profile == "gpu" else None


def _tensor(direction: str, tensor: Tensor) -> Iterator[str]:
    dims = ", ".join(str(dim) for dim in tensor.dims)
    optional = " optional: true" if tensor.optional else ""
    yield f"{direction} {{  # {tensor.about}"
    yield f"  name: {_quoted(tensor.name)} data_type: {_data_type(tensor)} dims: [{dims}]{optional}"
    yield "}"


def _data_type(tensor: Tensor) -> str:
    return "TYPE_STRING" if tensor.data_type == "BYTES" else f"TYPE_{tensor.data_type}"


def _transactions(model: ServedModel) -> Iterator[str]:
    if model.decoupled:
        yield "model_transaction_policy { decoupled: true }"


def _dynamic_batching(model: ServedModel) -> Iterator[str]:
    if model.batching is None:
        return
    yield "dynamic_batching {"
    if model.batching.preferred_sizes:
        yield f"  preferred_batch_size: [{', '.join(map(str, model.batching.preferred_sizes))}]"
    yield f"  max_queue_delay_microseconds: {model.batching.max_queue_delay_us}"
    yield "}"


def _instances(model: ServedModel, profile: Profile) -> Iterator[str]:
    gpu = _gpu(model, profile)
    group = gpu.instances if gpu else model.instances
    if group is not None:
        yield from _because(model, "instances")
        yield f"instance_group [{{ {_instance_group(group)} }}]"


def _instance_group(group: InstanceGroup) -> str:
    return f"kind: {group.kind} count: {group.count}"


def _accelerators(model: ServedModel, profile: Profile) -> Iterator[str]:
    gpu = _gpu(model, profile)
    if gpu is None or not gpu.accelerators:
        return
    yield f"# {gpu.why}"
    yield "optimization { execution_accelerators {"
    for name in gpu.accelerators:
        yield f"  gpu_execution_accelerator {{ name: {_quoted(name)}"
        for key, value in gpu.accelerator_parameters.items():
            yield f"    parameters {_pair(key, value)}"
        yield "  }"
    yield "} }"


def _warmups(model: ServedModel, profile: Profile) -> Iterator[str]:
    """Zeros, never random: a random token id lies outside every vocabulary."""
    gpu = _gpu(model, profile)
    for warmup in gpu.warmups if gpu else ():
        yield f"model_warmup {{ name: {_quoted(warmup.name)} batch_size: {warmup.batch_size}"
        for tensor in model.inputs:
            dims = ", ".join(map(str, warmup.dims[tensor.name]))
            value = f"data_type: {_data_type(tensor)} dims: [{dims}] zero_data: true"
            yield f"  inputs {{ key: {_quoted(tensor.name)} value: {{ {value} }} }}"
        yield "}"


def _response_cache(model: ServedModel) -> Iterator[str]:
    if model.response_cache:
        yield from _because(model, "response_cache")
        yield "response_cache { enable: true }"


def _ensemble(steps: tuple[EnsembleStep, ...]) -> Iterator[str]:
    if not steps:
        return
    yield "ensemble_scheduling {"
    for step in steps:
        yield f"  step {{ model_name: {_quoted(step.model)} model_version: -1"
        yield from (f"    input_map {_pair(own, name)}" for own, name in step.inputs.items())
        yield from (f"    output_map {_pair(own, name)}" for own, name in step.outputs.items())
        yield "  }"
    yield "}"


def _because(model: ServedModel, subject: str) -> Iterator[str]:
    if subject in model.why:
        yield f"# {model.why[subject]}"


def _parameters(model: ServedModel, profile: Profile) -> Iterator[str]:
    gpu = _gpu(model, profile)
    parameters = {**model.parameters, **(gpu.parameters if gpu else {})}
    yield from (_parameter(key, value) for key, value in parameters.items())


def _parameter(key: str, value: str) -> str:
    return f"parameters {{ key: {_quoted(key)} value: {{ string_value: {_quoted(value)} }} }}"


def _pair(key: str, value: str) -> str:
    return f"{{ key: {_quoted(key)} value: {_quoted(value)} }}"


def _quoted(text: str) -> str:
    return json.dumps(text)
