"""Weights as 8-bit integers, and the products with them computed in integers. Knows ONNX, no particular network.

Each row of an activation gets a scale of its own at run time, so that an answer does not depend on what else is in
the batch. docs/decisions/0005-precision.md compares this with ONNX Runtime's own ways.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Floats = NDArray[np.float32]

# Seven bits and a sign for activations, shifted to be unsigned: what the integer kernels of x86 take on the left.
_ACTIVATION_MOST = 127
_SHIFT = np.uint8(128)
# Six bits and a sign for weights: without VNNI the kernels add pairs of products in 16 bits, which 127 * 255 * 2
# overflows silently and 63 * 255 * 2 does not. So a file means the same on every CPU.
_WEIGHT_MOST = 63
# A product smaller than this costs more to prepare than it saves.
_SMALLEST_SIDE = 32
_TINY = np.float32(1e-12)  # the scale of a row of zeros

_CONSTANTS: Mapping[str, NDArray[Any]] = {
    "int8__shift": np.array(_SHIFT),
    "int8__one": np.array(1, np.float32),
    "int8__step": np.array(1 / _ACTIVATION_MOST, np.float32),
    "int8__tiny": np.array(_TINY),
    "int8__last_axis": np.array([-1], np.int64),
}


@dataclass(frozen=True)
class Product:
    """A MatMul with a constant matrix on the right."""

    node: str
    left: str
    weight: str
    output: str


def products(model: onnx.ModelProto) -> list[Product]:
    """Those that can be computed in integers, and are large enough to gain from it."""
    shapes = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    return [
        Product(node.name, node.input[0], node.input[1], node.output[0])
        for node in model.graph.node
        if node.op_type == "MatMul"
        and len(shapes.get(node.input[1], ())) == 2
        and min(shapes[node.input[1]]) >= _SMALLEST_SIDE
    ]


def to_int8(model: onnx.ModelProto, chosen: list[Product]) -> None:
    """Change `model` in place: each chosen product is computed in integers."""
    graph = model.graph
    weights = {weight.name: weight for weight in graph.initializer}
    by_node = {product.node: product for product in chosen}
    nodes: list[onnx.NodeProto] = []
    rounded: set[str] = set()  # queries, keys and values are made of one and the same activation
    for node in graph.node:
        product = by_node.get(node.name)
        if product is None:
            nodes.append(node)
            continue
        if product.left not in rounded:
            nodes += _round_rows(product.left)
            rounded.add(product.left)
        nodes += _multiply(product)
    for name in {product.weight for product in chosen}:
        codes, scales = _codes(numpy_helper.to_array(weights[name]))
        graph.initializer.append(numpy_helper.from_array(codes, f"{name}__codes"))
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}__scales"))
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in _CONSTANTS.items())
    _replace(model, nodes)


def local_error(left: Floats, weight: Floats) -> float:
    """How far the integer product of these is from the true one, relative to its norm: a closed form, no graph."""
    scale = np.maximum(np.abs(left).max(-1, keepdims=True), _TINY) / _ACTIVATION_MOST
    codes, scales = _codes(weight)
    true = left @ weight
    got = (np.rint(left / scale) @ codes.astype(np.float32)) * scale * scales
    return float(np.linalg.norm(got - true) / max(np.linalg.norm(true), _TINY))


def _codes(weight: Floats) -> tuple[NDArray[np.int8], Floats]:
    """(inputs, outputs) -> integers and one scale per output."""
    scales = np.maximum(np.abs(weight).max(0), _TINY) / _WEIGHT_MOST
    return np.rint(weight / scales).astype(np.int8), scales.astype(np.float32)


def _round_rows(name: str) -> Iterator[onnx.NodeProto]:
    """name -> name__codes (unsigned, zero at the shift) and name__scale (one per row)."""
    yield _make("Abs", [name], f"{name}__sizes")
    yield _make("ReduceMax", [f"{name}__sizes", "int8__last_axis"], f"{name}__most", keepdims=1)
    yield _make("Max", [f"{name}__most", "int8__tiny"], f"{name}__at_most")
    yield _make("Mul", [f"{name}__at_most", "int8__step"], f"{name}__scale")
    yield _make("Div", [name, f"{name}__scale"], f"{name}__steps")
    yield _make("QuantizeLinear", [f"{name}__steps", "int8__one", "int8__shift"], f"{name}__codes")


def _multiply(product: Product) -> Iterator[onnx.NodeProto]:
    output = product.output
    yield _make(
        "MatMulInteger", [f"{product.left}__codes", f"{product.weight}__codes", "int8__shift"], f"{output}__int32"
    )
    yield _make("Cast", [f"{output}__int32"], f"{output}__whole", to=TensorProto.FLOAT)
    yield _make("Mul", [f"{output}__whole", f"{product.weight}__scales"], f"{output}__columns")
    yield _make("Mul", [f"{output}__columns", f"{product.left}__scale"], output)


def _make(operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], name=f"{output}__{operator}", **attributes)


def _replace(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    read = {name for node in nodes for name in node.input}
    kept = [weight for weight in model.graph.initializer if weight.name in read]
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)
