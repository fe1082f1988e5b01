"""What fp16 will do to a graph's answers, on a machine that cannot compute in fp16.

ONNX Runtime runs fp16 nodes on the CPU in fp32 and drops the casts between them, so that a value beyond 65,504 comes
out unharmed there and infinite on a GPU. A rehearsal is the fp32 graph with each such value rounded in plain sight.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.half import Keeps, float_tensors, half_array

_FIRST_AXIS = "half__first_axis"


def rehearse_half(model: onnx.ModelProto, keeps_float: Keeps) -> None:
    """Change `model` in place: everything stays fp32, and what to_half would put in fp16 is rounded to it."""
    graph = model.graph
    floats = float_tensors(model)
    nodes: list[onnx.NodeProto] = []
    for node in list(graph.node):
        nodes.append(node)
        if not keeps_float(node):
            nodes += _rounded_outputs(node, floats)
    _round_weights({name for node in graph.node if not keeps_float(node) for name in node.input}, graph)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), _FIRST_AXIS))


def _rounded_outputs(node: onnx.NodeProto, floats: set[str]) -> Iterator[onnx.NodeProto]:
    for index, name in enumerate(node.output):
        if name in floats and node.op_type != "Constant":
            node.output[index] = f"{name}__exact"
            yield from _rounding(node.output[index], name)
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            _round(attribute.t)


def _rounding(exact: str, name: str) -> Iterator[onnx.NodeProto]:
    """To fp16 and back. What stands between moves no number; without it the two would be dropped as useless."""
    half, wrapped, bare = f"{name}__half", f"{name}__wrapped", f"{name}__bare"
    yield helper.make_node("Cast", [exact], [half], name=half, to=TensorProto.FLOAT16)
    yield helper.make_node("Unsqueeze", [half, _FIRST_AXIS], [wrapped], name=wrapped)
    yield helper.make_node("Squeeze", [wrapped, _FIRST_AXIS], [bare], name=bare)
    yield helper.make_node("Cast", [bare], [name], name=f"{name}__back", to=TensorProto.FLOAT)


def _round_weights(names: set[str], graph: onnx.GraphProto) -> None:
    for weight in graph.initializer:
        if weight.name in names:
            _round(weight)


def _round(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        tensor.CopyFrom(numpy_helper.from_array(half_array(tensor).astype(np.float32), tensor.name))
