"""Tiny ONNX graphs and the repository folders that serve them, for the tests of the onnxruntime backend."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Triton's name, ONNX's number, and values that a wrong type in between would not survive.
VALUES = {
    "BOOL": (TensorProto.BOOL, np.array([[True, False, True]])),
    "UINT8": (TensorProto.UINT8, np.array([[0, 1, 255]], np.uint8)),
    "UINT16": (TensorProto.UINT16, np.array([[0, 1, 65_535]], np.uint16)),
    "UINT32": (TensorProto.UINT32, np.array([[0, 1, 2**32 - 1]], np.uint32)),
    "UINT64": (TensorProto.UINT64, np.array([[0, 1, 2**64 - 1]], np.uint64)),
    "INT8": (TensorProto.INT8, np.array([[-128, 0, 127]], np.int8)),
    "INT16": (TensorProto.INT16, np.array([[-(2**15), 0, 2**15 - 1]], np.int16)),
    "INT32": (TensorProto.INT32, np.array([[-(2**31), 0, 2**31 - 1]], np.int32)),
    "INT64": (TensorProto.INT64, np.array([[-(2**63), 2**53 + 1, 2**63 - 1]], np.int64)),
    "FP16": (TensorProto.FLOAT16, np.array([[0.1, 65_504, -0.0]], np.float16)),
    "FP32": (TensorProto.FLOAT, np.array([[0.1, 3e38, -0.0]], np.float32)),
    "FP64": (TensorProto.DOUBLE, np.array([[0.1, 1e308, -0.0]], np.float64)),
    "BYTES": (
        TensorProto.STRING,
        np.array([[b"a red circle", b"", "größer 円".encode()]], np.object_),
    ),
}

Value = onnx.ValueInfoProto
Node = onnx.NodeProto


def value(name: str, dims: Sequence[str | int], onnx_type: int = TensorProto.FLOAT) -> Value:
    return helper.make_tensor_value_info(name, onnx_type, dims)


def graph(
    nodes: Sequence[Node],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    constants: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    made = helper.make_graph(nodes, "graph", inputs, outputs, constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def constant(name: str, *numbers: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(numbers, np.float32), name)


def save(repository: Path, name: str, config: str, model: onnx.ModelProto) -> Path:
    """The model's folder."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(f'backend: "onnxruntime"\n{config}\n{ONE_CPU_INSTANCE}\n')
    onnx.save(model, folder / "1" / "model.onnx")
    return folder


def tensor(side: str, name: str, data_type: str, dims: Sequence[int], more: str = "") -> str:
    shown = ", ".join(str(dim) for dim in dims)
    return f'{side} [{{ name: "{name}" data_type: TYPE_{data_type} dims: [{shown}] {more} }}]'


def parameter(key: str, text: str) -> str:
    return f'parameters {{ key: "{key}" value: {{ string_value: "{text}" }} }}'


ONE_CPU_INSTANCE = "instance_group [{ kind: KIND_CPU count: 1 }]"
ONE_THREAD = parameter("intra_op_thread_count", "1")
IDENTITY_CONFIG = "\n".join(
    [
        "max_batch_size: 8",
        tensor("input", "x", "FP32", [-1]),
        tensor("output", "y", "FP32", [-1]),
        ONE_THREAD,
    ]
)


def identity() -> onnx.ModelProto:
    node = helper.make_node("Identity", ["x"], ["y"])
    return graph([node], [value("x", ["n", "k"])], [value("y", ["n", "k"])])


def save_types(repository: Path) -> None:
    """One input and one output of every type Triton and ONNX share: `in_FP16` -> `out_FP16`."""
    nodes = [helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]) for name in VALUES]
    inputs = [value(f"in_{name}", ["n", "k"], kind) for name, (kind, _) in VALUES.items()]
    outputs = [value(f"out_{name}", ["n", "k"], kind) for name, (kind, _) in VALUES.items()]
    config = ["max_batch_size: 8", ONE_THREAD]
    for name in VALUES:
        data_type = "STRING" if name == "BYTES" else name
        config.append(tensor("input", f"in_{name}", data_type, [-1]))
        config.append(tensor("output", f"out_{name}", data_type, [-1]))
    save(repository, "types", "\n".join(config), graph(nodes, inputs, outputs))


def save_patient(repository: Path) -> None:
    """y = x + 1, with a batcher that waits until eight rows are there."""
    node = helper.make_node("Add", ["x", "one"], ["y"])
    model = graph([node], [value("x", ["n", "k"])], [value("y", ["n", "k"])], [constant("one", 1)])
    batching = "dynamic_batching { max_queue_delay_microseconds: 20000000 }"
    save(repository, "patient", f"{IDENTITY_CONFIG}\n{batching}", model)


def save_narrow(repository: Path) -> None:
    """Takes three numbers a row and says so; `loose` needs three as well, but only its graph's insides know."""
    node = helper.make_node("Add", ["x", "three"], ["y"])
    three = [constant("three", 1, 2, 3)]
    model = graph([node], [value("x", ["n", 3])], [value("y", ["n", 3])], three)
    save(repository, "narrow", IDENTITY_CONFIG.replace("[-1]", "[3]"), model)
    # Reshape by its own shape hides the 3 from shape inference.
    nodes = [
        helper.make_node("Add", ["x", "three"], ["sum"], name="adder"),
        helper.make_node("Shape", ["sum"], ["shape"]),
        helper.make_node("Reshape", ["sum", "shape"], ["y"]),
    ]
    model = graph(nodes, [value("x", ["n", "k"])], [value("y", ["n", "j"])], three)
    save(repository, "loose", IDENTITY_CONFIG, model)


def save_unbatched(repository: Path) -> None:
    """y = x + bias and its sum, a scalar; `bias` may be left out. Runs on four threads."""
    nodes = [
        helper.make_node("Add", ["x", "bias"], ["y"]),
        helper.make_node("ReduceSum", ["y"], ["total"], keepdims=0),
    ]
    inputs = [value("x", [2, "k"]), value("bias", [1])]
    outputs = [value("y", [2, "k"]), value("total", [])]
    config = "\n".join(
        [
            "max_batch_size: 0",
            tensor("input", "x", "FP32", [2, -1]),
            tensor("input", "bias", "FP32", [1], "optional: true"),
            tensor("output", "y", "FP32", [2, -1]),
            tensor("output", "total", "FP32", [1]),
            parameter("intra_op_thread_count", "4"),
        ]
    )
    save(repository, "unbatched", config, graph(nodes, inputs, outputs, [constant("bias", 10)]))
