"""Targets up to the edge of what runs without a GPU: sizes, keys, configurations, and the calls that build an engine.

FakeTensorrt has the few calls that export/tensorrt.py makes and remembers them; it proves nothing about TensorRT.
"""

import ctypes
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from export.gpu import Gpu, find_gpu
from export.profiles import AxisRange, ProfileShapes, ShapeRange, profile_shapes
from export.targets import gpu_profile
from export.tensorrt import Engine, Toolchain, build_engine, engine_key, find_toolchain
from modelcore.contract import DataType, DynamicBatching, InstanceGroup, ServedModel, Tensor
from modelcore.errors import SetupProblem
from modelcore.pbtxt import parse, render

UNET = ServedModel(
    name="demo_unet",
    backend="onnxruntime",
    about="A network.",
    inputs=(
        Tensor("sample", DataType.FP32, (4, -1, -1), "latents"),
        Tensor("hidden", DataType.FP32, (-1, -1), "words"),
        Tensor("ids", DataType.INT64, (-1,), "ids"),
    ),
    outputs=(Tensor("noise", DataType.FP32, (4, -1, -1), "noise"),),
    max_batch_size=16,
    batching=DynamicBatching(),
    instances=InstanceGroup(),
)
AXES = {"height": AxisRange(8, 64, 96), "width": AxisRange(8, 64, 96), "length": AxisRange(77, 77, 77)}
SHAPES: ProfileShapes = {
    "sample": ShapeRange((1, 4, 8, 8), (8, 4, 64, 64), (16, 4, 96, 96)),
    "hidden": ShapeRange((1, 77, 128), (8, 77, 128), (16, 77, 128)),
    "ids": ShapeRange((1, 77), (8, 77), (16, 77)),
}
H200 = Gpu("NVIDIA H200", "sm_90")


@pytest.fixture
def graph_file(tmp_path: Path) -> Path:
    inputs = [
        helper.make_tensor_value_info("sample", TensorProto.FLOAT, ["batch", 4, "height", "width"]),
        helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", "length", 128]),
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"]),
    ]
    output = helper.make_tensor_value_info("noise", TensorProto.FLOAT, ["batch", 4, "height", "width"])
    graph = helper.make_graph([helper.make_node("Identity", ["sample"], ["noise"])], "unet", inputs, [output])
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_sizes_come_from_the_graphs_symbols_and_the_models_batch_limit(graph_file: Path) -> None:
    assert profile_shapes(graph_file, UNET, AXES) == SHAPES


def test_an_open_axis_without_sizes_is_named(graph_file: Path) -> None:
    with pytest.raises(SetupProblem, match=r"demo_unet: .* 'width', an open axis of sample"):
        profile_shapes(graph_file, UNET, {"height": AXES["height"]})


def test_sizes_that_do_not_rise_are_refused() -> None:
    with pytest.raises(SetupProblem, match="64, 32, 96"):
        AxisRange(64, 32, 96)


def test_the_cpu_target_leaves_the_model_as_it_is() -> None:
    assert gpu_profile(UNET, "onnx-cpu", "fp32", "model.onnx", SHAPES) is UNET


def test_the_cuda_target_serves_the_converted_graph_with_the_models_own_backend() -> None:
    config = parse(render(gpu_profile(UNET, "onnx-cuda", "fp16", "model.fp16.onnx", SHAPES), "gpu"))
    assert (config.backend, config.default_model_filename) == ("onnxruntime", "model.fp16.onnx")
    assert config.parameters["cudnn_conv_algo_search"].string_value == "1"  # HEURISTIC
    assert not config.optimization.execution_accelerators.gpu_execution_accelerator


def test_the_provider_target_tells_tensorrt_its_precision_sizes_and_where_to_keep_engines() -> None:
    config = parse(render(gpu_profile(UNET, "onnx-trt", "fp16", "model.fp16.onnx", SHAPES), "gpu"))
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    given = dict(accelerator.parameters)
    assert (accelerator.name, given["precision_mode"]) == ("tensorrt", "FP16")
    assert (given["trt_engine_cache_enable"], given["trt_timing_cache_enable"]) == ("1", "1")
    assert given["trt_engine_cache_path"].endswith("/demo_unet")
    assert given["trt_profile_min_shapes"] == "sample:1x4x8x8,hidden:1x77x128,ids:1x77"
    assert given["trt_profile_opt_shapes"] == "sample:8x4x64x64,hidden:8x77x128,ids:8x77"
    assert given["trt_profile_max_shapes"] == "sample:16x4x96x96,hidden:16x77x128,ids:16x77"


def test_the_plan_target_changes_backend_and_file_on_gpu_hosts_only() -> None:
    model = gpu_profile(UNET, "tensorrt", "fp16", "model.fp16.onnx", SHAPES)
    default, gpu = parse(render(model)), parse(render(model, "gpu"))
    assert (default.backend, default.default_model_filename) == ("onnxruntime", "")
    assert (gpu.backend, gpu.default_model_filename) == ("tensorrt", "model.plan")
    assert (gpu.input, gpu.output, gpu.max_batch_size) == (default.input, default.output, default.max_batch_size)


def test_warm_up_calls_are_the_usual_and_the_largest_without_their_batch() -> None:
    config = parse(render(gpu_profile(UNET, "tensorrt", "fp32", "model.onnx", SHAPES), "gpu"))
    usual, largest = config.model_warmup
    assert (usual.batch_size, largest.batch_size) == (8, 16)
    assert list(largest.inputs["sample"].dims) == [4, 96, 96]
    assert list(usual.inputs["ids"].dims) == [77]


def test_a_model_that_does_not_batch_warms_up_with_whole_shapes() -> None:
    model = replace(UNET, max_batch_size=0, batching=None)
    config = parse(render(gpu_profile(model, "onnx-cuda", "fp32", "model.onnx", SHAPES), "gpu"))
    assert [(call.batch_size, list(call.inputs["ids"].dims)) for call in config.model_warmup] == [
        (1, [8, 77]),
        (1, [16, 77]),
    ]


class FakeTensorrt:
    """`answer` is the plan, or None for a build that fails."""

    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)

    class Logger:
        WARNING = 2

        def __init__(self, severity: int) -> None:
            pass

    def __init__(self, answer: bytes | None = b"plan", version: str = "11.4.1", *, reads: bool = True) -> None:
        self.__version__ = version
        self._answer, self._reads = answer, reads
        self.builds = 0
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}
        self.timing_given: list[bytes] = []
        self.network_flags = 0

    def Builder(self, logger: object) -> Any:
        return SimpleNamespace(
            create_network=self._create_network,
            create_builder_config=self._create_config,
            create_optimization_profile=lambda: SimpleNamespace(set_shape=self._set_shape),
            build_serialized_network=self._build,
        )

    def OnnxParser(self, network: object, logger: object) -> Any:
        error = SimpleNamespace(desc=lambda: "no such operator")
        return SimpleNamespace(parse_from_file=lambda path: self._reads, num_errors=1, get_error=lambda index: error)

    def _create_network(self, flags: int) -> object:
        self.network_flags = flags
        return object()

    def _create_config(self) -> Any:
        return SimpleNamespace(
            add_optimization_profile=lambda profile: 0,
            create_timing_cache=self.timing_given.append,
            set_timing_cache=lambda cache, ignore_mismatch: True,
            get_timing_cache=lambda: SimpleNamespace(serialize=lambda: b"timings"),
        )

    def _set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        self.shapes[name] = shapes

    def _build(self, network: object, config: object) -> bytes | None:
        self.builds += 1
        return self._answer


def build(graph_file: Path, tensorrt: FakeTensorrt, *, gpu: Gpu = H200, shapes: ProfileShapes = SHAPES) -> Engine:
    folder = graph_file.parent
    return build_engine(graph_file, folder / "model.plan", shapes, folder / "timing", Toolchain(tensorrt, gpu))


def test_an_engine_is_built_strongly_typed_for_the_given_sizes(graph_file: Path) -> None:
    tensorrt = FakeTensorrt()
    engine = build(graph_file, tensorrt)
    assert (engine.path.read_bytes(), engine.reused) == (b"plan", False)
    assert tensorrt.network_flags == 0b10
    assert tensorrt.shapes["sample"] == ((1, 4, 8, 8), (8, 4, 64, 64), (16, 4, 96, 96))


def test_a_second_build_under_the_same_key_reuses_the_plan(graph_file: Path) -> None:
    tensorrt = FakeTensorrt()
    first, second = build(graph_file, tensorrt), build(graph_file, tensorrt)
    assert (second.key, second.reused, tensorrt.builds) == (first.key, True, 1)


def test_a_damaged_plan_is_built_again(graph_file: Path) -> None:
    tensorrt = FakeTensorrt()
    build(graph_file, tensorrt).path.write_bytes(b"pl")
    assert not build(graph_file, tensorrt).reused


def test_the_timing_cache_of_the_same_gpu_and_version_is_used_again(graph_file: Path) -> None:
    build(graph_file, FakeTensorrt())
    again, other_version = FakeTensorrt(), FakeTensorrt(version="11.5.0")
    build(graph_file, again, shapes={**SHAPES, "ids": ShapeRange((1, 77), (2, 77), (4, 77))})
    build(graph_file, other_version)
    assert (again.timing_given, other_version.timing_given) == ([b"timings"], [b""])


def test_the_key_changes_with_graph_gpu_version_and_sizes(graph_file: Path) -> None:
    def key(tensorrt: str = "11.4.1", gpu: Gpu = H200, shapes: ProfileShapes = SHAPES) -> str:
        return engine_key(graph_file, shapes, Toolchain(FakeTensorrt(version=tensorrt), gpu))

    keys = [key(), key("11.5.0"), key(gpu=Gpu("NVIDIA H100", "sm_90")), key(gpu=Gpu("NVIDIA H200", "sm_100"))]
    keys.append(key(shapes={**SHAPES, "ids": ShapeRange((1, 77), (2, 77), (4, 77))}))
    (graph_file.parent / "model.onnx.data").write_bytes(b"other weights")
    keys.append(key())
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("tensorrt", "words"),
    [(FakeTensorrt(reads=False), "cannot read model.onnx: no such operator"), (FakeTensorrt(None), "could not build")],
    ids=["unreadable", "unbuildable"],
)
def test_a_failed_build_leaves_the_old_plan_and_says_why(graph_file: Path, tensorrt: FakeTensorrt, words: str) -> None:
    build(graph_file, FakeTensorrt(b"old"))
    with pytest.raises(SetupProblem, match=words):
        build(graph_file, tensorrt, gpu=Gpu("another", "sm_80"))
    assert (graph_file.parent / "model.plan").read_bytes() == b"old"
    assert json.loads((graph_file.parent / "model.plan.json").read_text())["key"]


def test_without_the_package_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(SetupProblem, match=r"^engines need the tensorrt package, on a machine with an NVIDIA GPU$"):
        find_toolchain()


def test_without_a_driver_there_is_one_clear_line() -> None:
    def no_driver(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(SetupProblem, match=r"^no NVIDIA GPU here"):
        find_gpu(no_driver)


def fake_driver(*, devices: int) -> Any:
    def write(pointer: Any, value: int) -> int:
        pointer._obj.value = value
        return 0

    def name(buffer: Any, length: int, device: ctypes.c_int) -> int:
        buffer.value = b"NVIDIA H200"
        return 0

    return SimpleNamespace(
        cuInit=lambda flags: 0,
        cuDeviceGet=lambda pointer, ordinal: write(pointer, 0) if devices else 100,  # CUDA_ERROR_NO_DEVICE
        cuDeviceGetName=name,
        cuDeviceGetAttribute=lambda pointer, number, device: write(pointer, {75: 9, 76: 0}[number]),
    )


def test_the_driver_tells_name_and_architecture() -> None:
    assert find_gpu(lambda name: fake_driver(devices=1)) == H200


def test_a_driver_without_a_gpu_is_one_clear_line() -> None:
    with pytest.raises(SetupProblem, match="gives no GPU"):
        find_gpu(lambda name: fake_driver(devices=0))
