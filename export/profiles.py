"""The sizes an engine is built for: least, usual and greatest shape of each input. Reads symbols, no weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from modelcore.contract import ServedModel
from modelcore.errors import SetupProblem

BATCH = "batch"
# What kernels are chosen for when nobody says otherwise; larger calls run with the same ones.
_USUAL_BATCH = 8


@dataclass(frozen=True)
class AxisRange:
    """The sizes of one open axis. Kernels are chosen for the usual one, memory is taken for the greatest."""

    least: int
    usual: int
    greatest: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.usual <= self.greatest:
            raise SetupProblem(f"sizes must rise from 1 on: {self.least}, {self.usual}, {self.greatest}")


@dataclass(frozen=True)
class ShapeRange:
    """An AxisRange for every axis of one input, turned round."""

    least: tuple[int, ...]
    usual: tuple[int, ...]
    greatest: tuple[int, ...]


ProfileShapes = Mapping[str, ShapeRange]  # by input


def profile_shapes(graph_file: Path, model: ServedModel, axes: Mapping[str, AxisRange]) -> ProfileShapes:
    """`axes` by the symbol that the graph gives an open axis; the batch's come from the model's limit if not there."""
    known = {**_batch(model), **axes}
    graph = onnx.load(graph_file, load_external_data=False).graph
    return {value.name: _shape_range(model, value, known) for value in graph.input}


def _batch(model: ServedModel) -> dict[str, AxisRange]:
    most = model.max_batch_size
    return {BATCH: AxisRange(1, min(_USUAL_BATCH, most), most)} if most else {}


def _shape_range(model: ServedModel, value: onnx.ValueInfoProto, known: Mapping[str, AxisRange]) -> ShapeRange:
    ranges = [_axis_range(model, value.name, dim, known) for dim in value.type.tensor_type.shape.dim]
    least, usual, greatest = zip(*((axis.least, axis.usual, axis.greatest) for axis in ranges), strict=True)
    return ShapeRange(least, usual, greatest)


def _axis_range(
    model: ServedModel, name: str, dim: onnx.TensorShapeProto.Dimension, known: Mapping[str, AxisRange]
) -> AxisRange:
    if dim.HasField("dim_value"):
        return AxisRange(dim.dim_value, dim.dim_value, dim.dim_value)
    if dim.dim_param not in known:
        raise SetupProblem(f"{model.name}: an engine needs the sizes of {dim.dim_param!r}, an open axis of {name}")
    return known[dim.dim_param]
