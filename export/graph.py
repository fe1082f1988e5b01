"""A torch module to an ONNX file that NVIDIA's native backend and ours both accept. Knows no particular network."""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir
import torch

from export.plan import OPSET

DATA_SUFFIX = ".data"
# protobuf holds at most 2 GiB in one message. Beyond half of that, weights lie in one file beside the graph.
ONE_FILE_BYTES = 1024**3


@dataclass(frozen=True)
class GraphInput:
    """An example tensor, the axes this graph takes in any size, and names for those that config.pbtxt leaves open.

    An axis may be open in the config and fixed in this graph: another family has another size there.
    """

    name: str
    example: torch.Tensor
    dynamic_axes: tuple[int, ...]
    symbols: dict[int, str]


@dataclass(frozen=True)
class GraphOutput:
    name: str
    symbols: dict[int, str]


def export_graph(
    module: torch.nn.Module, inputs: Sequence[GraphInput], outputs: Sequence[GraphOutput], path: Path
) -> None:
    """Write `path`, and its weights beside it if they are large; then read it back through ONNX's own checker."""
    model = _translate(module.eval(), inputs)
    _forget_origin(model.graph)
    _name_symbols(model.graph, inputs)
    for value, source in zip(model.graph.inputs, inputs, strict=True):
        _name(model.graph, value, source.name, source.symbols)
    for position, output in enumerate(outputs):
        _finish_output(model.graph, position, output)
    _save(model, path)
    onnx.checker.check_model(str(path), full_check=True)


def _translate(module: torch.nn.Module, inputs: Sequence[GraphInput]) -> onnx_ir.Model:
    """torch.onnx.export would capture the module too, but where it fails it tries other ways without a word: slower
    ones, and ones that fix a size which was asked to be open."""
    examples = tuple(item.example for item in inputs)
    shapes = tuple(dict.fromkeys(item.dynamic_axes, torch.export.Dim.DYNAMIC) for item in inputs)
    with _quiet_exporter(), torch.no_grad():
        captured = torch.export.export(module, examples, dynamic_shapes=shapes, strict=False)
        program = torch.onnx.export(captured, dynamo=True, opset_version=OPSET, verbose=False)
    assert program is not None  # None is for exports straight to a file
    return program.model


def _forget_origin(graph: onnx_ir.Graph) -> None:
    """The exporter notes on every node which line of which file of this machine it came from."""
    for node in graph:
        node.metadata_props.clear()


def _name_symbols(graph: onnx_ir.Graph, inputs: Sequence[GraphInput]) -> None:
    """The exporter calls its symbols s53, and sizes inside `2*s53`; a reader of the model should see `batch`."""
    names = {
        str(value.shape[axis]): name
        for value, source in zip(graph.inputs, inputs, strict=True)
        for axis, name in source.symbols.items()
        if value.shape is not None and axis in source.dynamic_axes
    }
    for value in _values(graph):
        for axis, dim in enumerate(value.shape or ()):
            # Nameless dims stay so: ONNX Runtime takes those with one name for equal, and reuses their memory.
            if value.shape is not None and isinstance(dim, onnx_ir.SymbolicDim) and dim.value is not None:
                value.shape[axis] = re.sub(r"\w+", lambda found: names.get(found[0], found[0]), dim.value)


def _finish_output(graph: onnx_ir.Graph, position: int, output: GraphOutput) -> None:
    """Give the output its name, and open the sizes that are fixed in this graph but -1 in config.pbtxt."""
    value = graph.outputs[position]
    assert value.shape is not None
    if any(isinstance(value.shape[axis], int) for axis in output.symbols):
        value = graph.outputs[position] = _reshaped_to_open(graph, value)
    _name(graph, value, output.name, output.symbols)


def _reshaped_to_open(graph: onnx_ir.Graph, value: onnx_ir.Value) -> onnx_ir.Value:
    """End in a reshape to the shape that the output has at run time, which moves no data.

    NVIDIA's onnxruntime backend refuses a config that says -1 where the session reports a number, and ONNX Runtime
    infers the number through nearly everything; not through this.
    """
    assert value.shape is not None
    shape = onnx_ir.node("Shape", [value])
    reshape = onnx_ir.node("Reshape", [value, shape.outputs[0]])
    graph.extend([shape, reshape])
    opened = reshape.outputs[0]
    opened.type, opened.shape = value.type, onnx_ir.Shape(value.shape)
    return opened


def _name(graph: onnx_ir.Graph, value: onnx_ir.Value, name: str, symbols: dict[int, str]) -> None:
    """The exporter names inner values after operators, so one may hold the name we want: it gives way."""
    for other in _values(graph):
        if other.name == name and other is not value:
            other.name = f"{name}__inner"
    value.name = name
    assert value.shape is not None
    for axis, symbol in symbols.items():
        value.shape[axis] = symbol


def _values(graph: onnx_ir.Graph) -> Iterator[onnx_ir.Value]:
    yield from graph.inputs
    yield from list(graph.initializers.values())
    for node in graph:
        yield from node.outputs


def _save(model: onnx_ir.Model, path: Path) -> None:
    weights = (value.const_value for value in model.graph.initializers.values())
    size_bytes = sum(tensor.nbytes for tensor in weights if tensor is not None)
    beside = path.name + DATA_SUFFIX
    (path.parent / beside).unlink(missing_ok=True)
    onnx_ir.save(model, path, external_data=beside if size_bytes > ONE_FILE_BYTES else None)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """torch's exporter prints its own stages and warns about operators we do not use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
