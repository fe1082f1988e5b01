"""What a graph takes and gives, held against config.pbtxt once at load and against every request.

The rules are those of NVIDIA's native backend, so that a repository which loads here loads there:

- an input's dim must equal the graph's where the graph fixes it; where the graph leaves it free any dim will do;
- an output's dims must be the graph's exactly: -1 where the graph leaves it free, and only there;
- a graph that batches has a free first dimension in every tensor, and no optional inputs.

Knows names, types and dims. Knows nothing of sessions, requests or Triton's Python API.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Triton's name for a type: ONNX Runtime's name, and the array type that carries it.
# BF16 is missing in both: numpy has no such type, and the native backend refuses it too.
TYPES: Mapping[str, tuple[str, type[np.generic]]] = {
    "TYPE_BOOL": ("tensor(bool)", np.bool_),
    "TYPE_UINT8": ("tensor(uint8)", np.uint8),
    "TYPE_UINT16": ("tensor(uint16)", np.uint16),
    "TYPE_UINT32": ("tensor(uint32)", np.uint32),
    "TYPE_UINT64": ("tensor(uint64)", np.uint64),
    "TYPE_INT8": ("tensor(int8)", np.int8),
    "TYPE_INT16": ("tensor(int16)", np.int16),
    "TYPE_INT32": ("tensor(int32)", np.int32),
    "TYPE_INT64": ("tensor(int64)", np.int64),
    "TYPE_FP16": ("tensor(float16)", np.float16),
    "TYPE_FP32": ("tensor(float)", np.float32),
    "TYPE_FP64": ("tensor(double)", np.float64),
    "TYPE_STRING": ("tensor(string)", np.object_),
}
FREE = -1


class ConfigMismatch(ValueError):
    """config.pbtxt and the graph do not fit, or the config asks for what this backend cannot do."""


@dataclass(frozen=True)
class GraphTensor:
    """One tensor of the graph. `dims` has FREE where the graph names a symbol or nothing."""

    name: str
    onnx_type: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class InputRule:
    """What a request's tensor must look like; `dims` includes the batch dimension."""

    name: str
    dtype: np.dtype[Any]
    dims: tuple[int, ...]
    optional: bool


@dataclass(frozen=True)
class Signature:
    inputs: tuple[InputRule, ...]
    outputs: tuple[str, ...]
    batches: bool


def graph_tensors(nodes: Iterable[Any]) -> tuple[GraphTensor, ...]:
    """ONNX Runtime's own descriptions, with symbols and unknowns as FREE."""
    return tuple(
        GraphTensor(
            node.name,
            node.type,
            tuple(dim if isinstance(dim, int) and dim >= 0 else FREE for dim in node.shape),
        )
        for node in nodes
    )


def make_signature(
    config: Mapping[str, Any],
    inputs: Sequence[GraphTensor],
    overridable: Sequence[GraphTensor],
    outputs: Sequence[GraphTensor],
) -> Signature:
    """The signature of a model whose config and graph fit; ConfigMismatch names the first thing that does not.

    `overridable` are graph inputs with a default value, which a request may leave out.
    """
    batches = int(config["max_batch_size"]) > 0
    _check_presence(config, inputs, overridable, outputs)
    takes = {tensor.name: tensor for tensor in (*inputs, *overridable)}
    gives = {tensor.name: tensor for tensor in outputs}
    needed = {tensor.name for tensor in inputs}
    rules = tuple(_input_rule(declared, takes[declared["name"]], needed, batches) for declared in config["input"])
    for declared in config["output"]:
        _check_tensor("output", declared, gives[declared["name"]], batches, exact=True)
    return Signature(rules, tuple(declared["name"] for declared in config["output"]), batches)


def check_array(rule: InputRule, array: np.ndarray[Any, Any]) -> str | None:
    """Why the graph would not take this array, or None. Triton has already checked it against config.pbtxt."""
    if array.dtype != rule.dtype:
        return f"input '{rule.name}': got type {array.dtype}, expected {rule.dtype}"
    fits = len(rule.dims) == array.ndim and all(
        want in (FREE, got) for want, got in zip(rule.dims, array.shape, strict=True)
    )
    if fits:
        return None
    return f"input '{rule.name}': got dims {show(array.shape)}, expected {show(rule.dims)}"


def show(dims: Sequence[int]) -> str:
    return "[" + ",".join(str(dim) for dim in dims) + "]"


def _check_presence(
    config: Mapping[str, Any],
    inputs: Sequence[GraphTensor],
    overridable: Sequence[GraphTensor],
    outputs: Sequence[GraphTensor],
) -> None:
    declared_inputs = [declared["name"] for declared in config["input"]]
    takes = [tensor.name for tensor in (*inputs, *overridable)]
    _refuse_unknown("input", declared_inputs, takes)
    _refuse_unknown("output", [declared["name"] for declared in config["output"]], [t.name for t in outputs])
    for tensor in inputs:
        if tensor.name not in declared_inputs:
            raise ConfigMismatch(
                f"the graph needs input '{tensor.name}', which config.pbtxt does not declare "
                f"(it declares {_names(declared_inputs)})"
            )


def _refuse_unknown(side: str, declared: Sequence[str], known: Sequence[str]) -> None:
    for name in declared:
        if name not in known:
            raise ConfigMismatch(
                f"config.pbtxt declares {side} '{name}', which the graph does not have (it has {_names(known)})"
            )


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"


def _input_rule(declared: Mapping[str, Any], tensor: GraphTensor, needed: set[str], batches: bool) -> InputRule:
    name, optional = declared["name"], bool(declared.get("optional", False))
    if optional and batches:
        raise ConfigMismatch(f"input '{name}' is optional, which needs max_batch_size 0")
    if optional and name in needed:
        raise ConfigMismatch(f"input '{name}' is optional in config.pbtxt, but the graph has no default value for it")
    _check_tensor("input", declared, tensor, batches, exact=False)
    # A scalar in the graph is served with dims [1] and run as rank 0.
    return InputRule(name, np.dtype(TYPES[declared["data_type"]][1]), tensor.dims, optional)


def _check_tensor(side: str, declared: Mapping[str, Any], tensor: GraphTensor, batches: bool, *, exact: bool) -> None:
    name, data_type = tensor.name, declared["data_type"]
    if data_type not in TYPES:
        raise ConfigMismatch(f"{side} '{name}': {data_type} is not supported by the onnxruntime backend")
    if TYPES[data_type][0] != tensor.onnx_type:
        raise ConfigMismatch(f"{side} '{name}': config.pbtxt says {data_type}, the graph has {tensor.onnx_type}")
    reshape = declared.get("reshape")
    dims = [int(dim) for dim in (declared["dims"] if reshape is None else reshape["shape"])]
    if not batches and not tensor.dims and all(dim == 1 for dim in dims):
        return
    if batches and (not tensor.dims or tensor.dims[0] != FREE):
        raise ConfigMismatch(
            f"{side} '{name}': max_batch_size is above 0, so the graph's first dimension must be free; "
            f"the graph has {show(tensor.dims)}"
        )
    config_dims = [FREE, *dims] if batches else dims
    if not _dims_fit(config_dims, tensor.dims, exact):
        raise ConfigMismatch(
            f"{side} '{name}': config.pbtxt says {show(config_dims)}{' with the batch' if batches else ''}, "
            f"the graph has {show(tensor.dims)}; NVIDIA's native backend wants "
            + ("the same, with -1 only where the graph is free" if exact else "the graph's number where it has one")
        )


def _dims_fit(config_dims: Sequence[int], graph_dims: Sequence[int], exact: bool) -> bool:
    if len(config_dims) != len(graph_dims):
        return False
    return all(
        ours == graphs or (not exact and graphs == FREE) for ours, graphs in zip(config_dims, graph_dims, strict=True)
    )
