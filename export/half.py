"""An fp32 graph in fp16, with fp32 at its ends and in the nodes that need it. Knows ONNX, no particular network.

Every tensor has the type its producer gives it, and a reader that wants the other gets one cast, shared by all such
readers. docs/decisions/0005-precision.md has why this is not ONNX Runtime's converter.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from modelcore.errors import SetupProblem

_FLOAT, _HALF = int(TensorProto.FLOAT), int(TensorProto.FLOAT16)
_SUFFIX = {_FLOAT: "fp32", _HALF: "fp16"}
_LARGEST = float(np.finfo(np.float16).max)
# Operators whose definition takes float32 for these inputs.
_FLOAT_INPUTS: Mapping[str, frozenset[int]] = {"Resize": frozenset({1, 2})}

Keeps = Callable[[onnx.NodeProto], bool]


def to_half(model: onnx.ModelProto, keeps_float: Keeps) -> None:
    """Change `model` in place. Nodes for which `keeps_float` is true, and the graph's inputs and outputs, stay fp32."""
    _Converter(model).convert(keeps_float)
    del model.graph.value_info[:]  # it told of other types


def feeding(graph: onnx.GraphProto, operators: frozenset[str]) -> frozenset[str]:
    """Names of the nodes of these operators and of everything that leads to one."""
    makers = {name: node for node in graph.node for name in node.output}
    pending, found = [node for node in graph.node if node.op_type in operators], set()
    while pending:
        node = pending.pop()
        if node.name not in found:
            found.add(node.name)
            pending += [makers[name] for name in node.input if name in makers]
    return frozenset(found)


class _Converter:
    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._floats = float_tensors(model)
        self._weights = {weight.name: weight for weight in model.graph.initializer}
        self._outputs = {output.name for output in model.graph.output}
        # (name in the old graph, type) -> name in the new one.
        self._there = {(name, _FLOAT): name for name in self._floats if name in self._weights}
        self._there |= {(item.name, _FLOAT): item.name for item in model.graph.input if item.name in self._floats}

    def convert(self, keeps_float: Keeps) -> None:
        nodes: list[onnx.NodeProto] = []
        for node in list(self._graph.node):
            nodes += self._node(node, _FLOAT if keeps_float(node) else _HALF)
        for name in sorted(self._outputs & self._floats):
            nodes += self._casts(name, _FLOAT)
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        self._drop_unread_weights()

    def _node(self, node: onnx.NodeProto, kind: int) -> Iterator[onnx.NodeProto]:
        for index, name in enumerate(node.input):
            if name in self._floats:
                wanted = _FLOAT if index in _FLOAT_INPUTS.get(node.op_type, ()) else kind
                yield from self._casts(name, wanted)
                node.input[index] = self._there[name, wanted]
        if kind == _HALF:
            _convert_attributes(node)
        for index, name in enumerate(node.output):
            if name in self._floats:
                node.output[index] = self._there[name, kind] = self._name(name, kind)
        yield node

    def _casts(self, name: str, wanted: int) -> Iterator[onnx.NodeProto]:
        """The node that makes `name` available as `wanted`, if it is not yet."""
        if (name, wanted) in self._there:
            return
        target = f"{name}__fp16" if name in self._weights else self._name(name, wanted)
        self._there[name, wanted] = target
        if name in self._weights:
            self._graph.initializer.append(numpy_helper.from_array(half_array(self._weights[name]), target))
            return
        source = self._there[name, _HALF if wanted == _FLOAT else _FLOAT]
        yield helper.make_node("Cast", [source], [target], name=f"{target}__cast", to=wanted)

    def _name(self, name: str, kind: int) -> str:
        """An output keeps its name in fp32; elsewhere both forms say which they are."""
        return name if name in self._outputs and kind == _FLOAT else f"{name}__{_SUFFIX[kind]}"

    def _drop_unread_weights(self) -> None:
        read = {name for node in self._graph.node for name in node.input}
        kept = [weight for weight in self._graph.initializer if weight.name in read]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)


def float_tensors(model: onnx.ModelProto) -> set[str]:
    """Names of all float32 tensors. Types are inferred on the graph without its weights, which may be gigabytes."""
    graph = model.graph
    if any(attribute.type == onnx.AttributeProto.GRAPH for node in graph.node for attribute in node.attribute):
        raise SetupProblem("a graph with branches or loops cannot be turned into fp16 here")
    weights = [helper.make_tensor_value_info(item.name, item.data_type, item.dims) for item in graph.initializer]
    bare = helper.make_graph(graph.node, "types", [*graph.input, *weights], graph.output)
    inferred = onnx.shape_inference.infer_shapes(helper.make_model(bare, opset_imports=model.opset_import)).graph
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    unknown = [name for node in graph.node for name in node.output if name and not kinds.get(name)]
    if unknown:
        raise SetupProblem(f"the type of {unknown[0]} cannot be inferred, so the graph cannot be turned into fp16")
    return {name for name, kind in kinds.items() if kind == _FLOAT}


def _convert_attributes(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == _FLOAT:
            attribute.t.CopyFrom(numpy_helper.from_array(half_array(attribute.t), attribute.t.name))
        elif attribute.name in {"to", "dtype"} and attribute.i == _FLOAT:
            attribute.i = _HALF


def half_array(tensor: onnx.TensorProto) -> NDArray[np.float16]:
    """Masks are written with fp32's lowest number, which would become minus infinity: fp16's lowest does as well."""
    values = np.clip(numpy_helper.to_array(tensor), -_LARGEST, _LARGEST)
    return values.astype(np.float16)
