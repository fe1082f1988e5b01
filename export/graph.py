"""A torch module to an ONNX file that NVIDIA's native backend and ours both accept. Knows no particular network."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnx import helper

from export.plan import OPSET


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


def export_graph(module: torch.nn.Module, inputs: list[GraphInput], outputs: list[GraphOutput], path: Path) -> None:
    """Write `path`, then read it back through ONNX's own checker."""
    shapes = tuple(dict.fromkeys(item.dynamic_axes, torch.export.Dim.DYNAMIC) for item in inputs)
    with _quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            tuple(item.example for item in inputs),
            dynamo=True,
            opset_version=OPSET,
            input_names=[item.name for item in inputs],
            output_names=[_exported_name(item) for item in outputs],
            dynamic_shapes=shapes,
            verbose=False,
        )
    assert program is not None  # None is for exports straight to a file
    model = program.model_proto
    for source in inputs:
        _name_symbols(_value(model.graph.input, source.name), source.symbols)
    for output in outputs:
        _finish_output(model.graph, output)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _exported_name(output: GraphOutput) -> str:
    """Not the final name yet: the exporter may call an inner value `embedding` too, and does not look."""
    return f"{output.name}__exported"


def _name_symbols(value: onnx.ValueInfoProto, symbols: dict[int, str]) -> None:
    """The exporter calls its symbols s53; a reader of the model should see `batch`."""
    for axis, name in symbols.items():
        value.type.tensor_type.shape.dim[axis].dim_param = name


def _finish_output(graph: onnx.GraphProto, output: GraphOutput) -> None:
    """Give the output its name, and open the sizes that are fixed in this graph but -1 in config.pbtxt."""
    value = _value(graph.output, _exported_name(output))
    _rename(graph, output.name, f"{output.name}__inner")
    dims = value.type.tensor_type.shape.dim
    if any(dims[axis].HasField("dim_value") for axis in output.symbols):
        _reshape_to_open(graph, output)
    else:
        _rename(graph, _exported_name(output), output.name)
    value.name = output.name
    _name_symbols(value, output.symbols)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
    for value in graph.value_info:
        if value.name == old:
            value.name = new
    for initializer in graph.initializer:
        if initializer.name == old:
            initializer.name = new


def _reshape_to_open(graph: onnx.GraphProto, output: GraphOutput) -> None:
    """End in a reshape to the shape that the output has at run time, which moves no data.

    NVIDIA's onnxruntime backend refuses a config that says -1 where the session reports a number, and ONNX Runtime
    infers the number through nearly everything; not through this.
    """
    name, inner = output.name, _exported_name(output)
    graph.node.extend(
        [
            helper.make_node("Shape", [inner], [f"{name}__shape"]),
            helper.make_node("Reshape", [inner, f"{name}__shape"], [name]),
        ]
    )


def _value(values: Iterable[onnx.ValueInfoProto], name: str) -> onnx.ValueInfoProto:
    return next(value for value in values if value.name == name)


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
