"""A live model configuration against the catalog, each difference in words. Pure: messages in, sentences out."""

from collections.abc import Iterator, Sequence
from typing import Any

from tritonclient.grpc import model_config_pb2

from modelcore.contract import DynamicBatching, ServedModel, Tensor

_BYTES_IN_CONFIG = "TYPE_STRING"


def differences(model: ServedModel, live: model_config_pb2.ModelConfig) -> list[str]:
    return [f"{model.name}: {sentence}" for sentence in _sentences(model, live)]


def _sentences(model: ServedModel, live: model_config_pb2.ModelConfig) -> Iterator[str]:
    yield from _unequal("name", model.name, live.name)
    yield from _unequal("backend", model.backend, live.backend or live.platform)
    yield from _unequal("max_batch_size", model.max_batch_size, live.max_batch_size)
    yield from _unequal("decoupled", model.decoupled, live.model_transaction_policy.decoupled)
    yield from _tensors("input", model.inputs, live.input)
    yield from _tensors("output", model.outputs, live.output)
    yield from _batching(model, live)
    yield from _steps(model, live)


def _unequal(what: str, expected: object, found: object) -> Iterator[str]:
    if expected != found:
        yield f"{what} is {found!r}, the catalog says {expected!r}"


def _tensors(kind: str, expected: Sequence[Tensor], live: Sequence[Any]) -> Iterator[str]:
    found = {tensor.name: tensor for tensor in live}
    for tensor in expected:
        if tensor.name not in found:
            yield f"{kind} {tensor.name} is missing"
        else:
            yield from _tensor(f"{kind} {tensor.name}", tensor, found.pop(tensor.name))
    yield from (f"{kind} {name} is not in the catalog" for name in found)


def _tensor(what: str, expected: Tensor, live: Any) -> Iterator[str]:
    type_name = model_config_pb2.DataType.Name(live.data_type)
    data_type = "BYTES" if type_name == _BYTES_IN_CONFIG else type_name.removeprefix("TYPE_")
    yield from _unequal(f"the type of {what}", str(expected.data_type), data_type)
    yield from _unequal(f"dims of {what}", list(expected.dims), list(live.dims))
    # Outputs have no such field.
    yield from _unequal(f"optional of {what}", expected.optional, getattr(live, "optional", False))


def _batching(model: ServedModel, live: model_config_pb2.ModelConfig) -> Iterator[str]:
    found = live.dynamic_batching if live.HasField("dynamic_batching") else None
    if model.batching is None or found is None:
        yield from _unequal("dynamic batching", model.batching is not None, found is not None)
        return
    # Triton fills in the largest batch where nothing is preferred.
    preferred = tuple(found.preferred_batch_size)
    if preferred != (model.batching.preferred_sizes or (model.max_batch_size,)):
        yield from _unequal("preferred batch sizes", model.batching.preferred_sizes, preferred)
    yield from _queue(model.batching, found)


def _queue(expected: DynamicBatching, found: Any) -> Iterator[str]:
    delay_us = found.max_queue_delay_microseconds
    yield from _unequal("queue delay in microseconds", expected.max_queue_delay_us, delay_us)
    # We declare no limit, see modelcore.contract.DynamicBatching.
    yield from _unequal("queue size", 0, found.default_queue_policy.max_queue_size)


def _steps(model: ServedModel, live: model_config_pb2.ModelConfig) -> Iterator[str]:
    expected = [(step.model, step.inputs, step.outputs) for step in model.steps]
    found = [(step.model_name, dict(step.input_map), dict(step.output_map)) for step in live.ensemble_scheduling.step]
    if len(expected) != len(found):
        yield from _unequal("the number of ensemble steps", len(expected), len(found))
        return
    for number, (ours, theirs) in enumerate(zip(expected, found, strict=True), start=1):
        yield from _unequal(f"ensemble step {number}", ours, theirs)
