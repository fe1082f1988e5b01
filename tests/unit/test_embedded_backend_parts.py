"""Parts of the onnxruntime backend that know nothing of Triton's Python API."""

import gc
import os
import sys
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

# The backend's folder stands alone: Triton puts it on the path, and so do we.
sys.path.append(str(Path(__file__).parents[2] / "embedded" / "backends" / "onnxruntime"))
import ort_batch
import ort_settings
import ort_signature
from ort_batch import Call, RunFailed
from ort_settings import Device, Provider
from ort_signature import ConfigMismatch, GraphTensor

from bench import diffusion_overhead

Array = np.ndarray[Any, Any]
CPU, GPU = Device("CPU", 0), Device("GPU", 1)


class Doubling:
    """A run that doubles x, and remembers how many rows each run had. Refuses negative numbers."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> Sequence[Array]:
        if (inputs["x"] < 0).any():
            raise RunFailed("negative", is_callers_fault=True)
        self.rows.append(len(inputs["x"]))
        return [inputs["x"] * 2 for _ in outputs]


def call(*rows: Sequence[float], outputs: tuple[str, ...] = ("y",)) -> Call:
    return Call({"x": np.array(rows, np.float32)}, outputs)


def test_calls_of_equal_dims_share_one_run() -> None:
    run = Doubling()
    answers = ort_batch.run_calls([call([1, 2]), call([3, 4], [5, 6])], run, batches=True)
    assert run.rows == [3]
    np.testing.assert_array_equal(answers[0]["y"], [[2, 4]])
    np.testing.assert_array_equal(answers[1]["y"], [[6, 8], [10, 12]])


def test_answers_are_views_of_one_result() -> None:
    answers = ort_batch.run_calls([call([1]), call([2])], Doubling(), batches=True)
    assert answers[0]["y"].base is answers[1]["y"].base


def test_calls_of_other_dims_run_apart_and_keep_their_order() -> None:
    run = Doubling()
    answers = ort_batch.run_calls([call([1]), call([2, 2]), call([3])], run, batches=True)
    assert run.rows == [2, 1]
    assert [answer["y"][0, 0] for answer in answers] == [2, 4, 6]


def test_a_failing_call_takes_no_other_with_it() -> None:
    answers = ort_batch.run_calls([call([1]), call([-1]), call([3])], Doubling(), batches=True)
    assert answers[0]["y"][0, 0] == 2
    assert isinstance(answers[1], RunFailed)
    assert answers[2]["y"][0, 0] == 6


@pytest.mark.parametrize("batches", [True, False])
def test_a_failure_that_is_kept_holds_no_tensor(batches: bool) -> None:
    failing = call([-1])
    tensor = weakref.ref(failing.inputs["x"])
    gc.disable()  # which undoes circles, some day
    try:
        answers = ort_batch.run_calls([failing], Doubling(), batches=batches)
        del failing
        assert (type(answers[0]), tensor()) == (RunFailed, None)
    finally:
        gc.enable()


def test_without_batching_each_call_runs_alone() -> None:
    run = Doubling()
    ort_batch.run_calls([call([1]), call([2])], run, batches=False)
    assert run.rows == [1, 1]


def test_each_call_gets_only_the_outputs_it_asked_for() -> None:
    calls = [call([1], outputs=("y",)), call([2], outputs=("z", "y"))]
    answers = ort_batch.run_calls(calls, Doubling(), batches=True)
    assert [list(answer) for answer in answers] == [["y"], ["z", "y"]]


def test_a_graph_that_loses_the_batch_dimension_is_named() -> None:
    def run(outputs: Sequence[str], inputs: Mapping[str, Array]) -> Sequence[Array]:
        return [np.zeros((7, 1))]

    stacked = ort_batch.run_calls([call([1]), call([2])], run, batches=True)
    alone = ort_batch.run_calls([call([1])], run, batches=True)
    for answer in (*stacked, *alone):
        assert isinstance(answer, RunFailed)
        assert "output 'y' has dims [7, 1]" in answer.reason


def config(**more: Any) -> dict[str, Any]:
    tensor = {"data_type": "TYPE_FP32", "dims": [-1]}
    return {
        "max_batch_size": 8,
        "input": [{"name": "x", **tensor}],
        "output": [{"name": "y", **tensor}],
        **more,
    }


def signature(
    config: Mapping[str, Any],
    x: tuple[int, ...] = (-1, -1),
    y: tuple[int, ...] = (-1, -1),
    overridable: Sequence[GraphTensor] = (),
) -> ort_signature.Signature:
    inputs, outputs = (
        [GraphTensor("x", "tensor(float)", x)],
        [GraphTensor("y", "tensor(float)", y)],
    )
    return ort_signature.make_signature(config, inputs, overridable, outputs)


def test_input_dim_may_be_fixed_in_config_where_the_graph_is_free() -> None:
    fixed = [{"name": "x", "data_type": "TYPE_FP32", "dims": [3]}]
    assert signature(config(input=fixed)).inputs[0].dims == (-1, -1)


# What NVIDIA's native backend refuses must not load here either: it would fail first on the GPU host.
@pytest.mark.parametrize(
    ("given", "x", "y", "reason"),
    [
        (config(), (-1, 64), (-1, -1), r"input 'x': config.pbtxt says \[-1,-1\] with the batch, "),
        (config(), (-1, -1), (-1, 64), r"output 'y': .* the graph has \[-1,64\]"),
        (config(), (1, -1), (-1, -1), r"input 'x': .* first dimension must be free; .* \[1,-1\]"),
        (config(), (-1, -1, 3), (-1, -1), r"input 'x': .* the graph has \[-1,-1,3\]"),
        (config(max_batch_size=0), (-1, 2), (-1,), r"input 'x': config.pbtxt says \[-1\], the"),
    ],
)
def test_dims_that_the_native_backend_refuses_are_refused(
    given: dict[str, Any], x: tuple[int, ...], y: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(ConfigMismatch, match=reason):
        signature(given, x, y)


def test_reshape_is_what_the_graph_must_match() -> None:
    scalar_rows = [
        {"name": "x", "data_type": "TYPE_FP32", "dims": [1], "reshape": {"shape": []}},
    ]
    assert signature(config(input=scalar_rows), x=(-1,)).inputs[0].dims == (-1,)


def test_input_the_graph_needs_must_be_declared() -> None:
    with pytest.raises(ConfigMismatch, match=r"the graph needs input 'x', which config.pbtxt"):
        signature(config(input=[]))


def test_optional_input_needs_a_default_in_the_graph() -> None:
    optional = [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1], "optional": True}]
    with pytest.raises(ConfigMismatch, match="the graph has no default value"):
        signature(config(input=optional, max_batch_size=0), x=(-1,), y=(-1,))


def test_bf16_is_refused_by_name() -> None:
    half = [{"name": "y", "data_type": "TYPE_BF16", "dims": [-1]}]
    with pytest.raises(ConfigMismatch, match="output 'y': TYPE_BF16 is not supported"):
        signature(config(output=half))


def test_wrong_dims_name_tensor_and_both_shapes() -> None:
    rule = ort_signature.InputRule("x", np.dtype(np.float32), (-1, 3), optional=False)
    said = ort_signature.check_array(rule, np.zeros((2, 4), np.float32))
    assert said == "input 'x': got dims [2,4], expected [-1,3]"
    assert ort_signature.check_array(rule, np.zeros((2, 3), np.float32)) is None


def parameters(**texts: str) -> dict[str, Any]:
    return {key.replace("__", "."): {"string_value": text} for key, text in texts.items()}


def test_native_keys_reach_the_session_options() -> None:
    given = parameters(
        intra_op_thread_count="3",
        inter_op_thread_count="2",
        execution_mode="1",
        enable_mem_arena="0",
        enable_mem_pattern="false",
        session__disable_prepacking="1",
    )
    options = ort_settings.session_options(config(parameters=given, optimization={"graph": {"level": 1}}))
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 2)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    assert options.graph_optimization_level == (onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
    assert not options.enable_cpu_mem_arena
    assert not options.enable_mem_pattern
    assert options.get_session_config_entry("session.disable_prepacking") == "1"


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (-1, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC),
        (0, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL),
        (2, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL),
    ],
)
def test_graph_levels_mean_what_they_mean_natively(level: int, expected: object) -> None:
    options = ort_settings.session_options(config(optimization={"graph": {"level": level}}))
    assert options.graph_optimization_level == expected


def test_threads_spin_for_microseconds_unless_told_otherwise() -> None:
    entry = "session.intra_op.spin_duration_us"
    assert ort_settings.session_options(config()).get_session_config_entry(entry) == "20"
    longer = config(parameters={entry: {"string_value": "500"}})
    assert ort_settings.session_options(longer).get_session_config_entry(entry) == "500"


def test_the_bench_compares_with_sessions_that_spin_as_long() -> None:
    entry = "session.intra_op.spin_duration_us"
    ours = ort_settings.session_options(config()).get_session_config_entry(entry)
    assert diffusion_overhead.session_options().get_session_config_entry(entry) == ours


def test_threads_can_be_told_not_to_spin() -> None:
    entry = "session.intra_op.allow_spinning"
    still = config(parameters={entry: {"string_value": "0"}})
    assert ort_settings.session_options(still).get_session_config_entry(entry) == "0"


def test_a_session_may_have_one_thread_whatever_the_config_says() -> None:
    asked = config(parameters=parameters(intra_op_thread_count="3"))
    assert ort_settings.session_options(asked, threads=1).intra_op_num_threads == 1


SPLIT = {"max_batch_size": 32, "parameters": parameters(split_rows="1")}


@pytest.mark.parametrize(
    ("given", "device", "expected"),
    [
        (SPLIT, CPU, 2),
        (SPLIT, GPU, 0),
        (SPLIT | {"parameters": {}}, CPU, 0),
        (SPLIT | {"max_batch_size": 1}, CPU, 0),
        (SPLIT | {"max_batch_size": 0}, CPU, 0),
        (SPLIT | {"parameters": parameters(split_rows="1", intra_op_thread_count="1")}, CPU, 0),
        (SPLIT | {"parameters": parameters(split_rows="1", execution_mode="1")}, CPU, 0),
    ],
)
def test_rows_are_split_among_the_cores_where_that_is_asked_for(
    given: dict[str, Any], device: Device, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    assert ort_settings.cores_to_split_for(config(**given), device) == expected


def test_one_core_has_nothing_to_split_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {5})
    assert ort_settings.cores_to_split_for(config(**SPLIT), CPU) == 0


SHRINKAGE = "memory.enable_memory_arena_shrinkage"


def shrinks(options: onnxruntime.RunOptions) -> str:
    """What of it gives memory back; empty: nothing."""
    try:
        return str(options.get_run_config_entry(SHRINKAGE))
    except RuntimeError:
        return ""


def test_only_a_trial_run_gives_its_memory_back() -> None:
    assert shrinks(ort_settings.run_options({})) == ""
    assert shrinks(ort_settings.trial_run_options({}, CPU)) == "cpu:0"


@pytest.mark.parametrize(
    ("parameters", "device", "expected"),
    [
        ({"enable_mem_arena": "0"}, CPU, ""),
        ({SHRINKAGE: "cpu:0;gpu:1"}, GPU, "cpu:0;gpu:1"),
        ({}, GPU, ""),
    ],
    ids=["no arena", "as the config says", "gpu"],
)
def test_a_trial_run_asks_for_nothing_that_is_not_there(
    parameters: dict[str, str], device: Device, expected: str
) -> None:
    config = {"parameters": {key: {"string_value": value} for key, value in parameters.items()}}
    assert shrinks(ort_settings.trial_run_options(config, device)) == expected


def test_gpu_instance_runs_on_its_own_device_with_the_native_options() -> None:
    given = config(parameters=parameters(cudnn_conv_algo_search="1", gpu_mem_limit="1000"))
    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    cuda = {"device_id": "1", "cudnn_conv_algo_search": "HEURISTIC", "gpu_mem_limit": "1000"}
    assert ort_settings.providers(given, GPU, available) == (
        Provider("CUDAExecutionProvider", cuda),
        Provider("CPUExecutionProvider"),
    )


def accelerators(where: str, name: str) -> dict[str, Any]:
    return config(optimization={"execution_accelerators": {where: [{"name": name}]}})


@pytest.mark.parametrize(
    ("given", "device", "reason"),
    [
        (config(), GPU, "install onnxruntime-gpu in its place, or use KIND_CPU"),
        (accelerators("cpu_execution_accelerator", "openvino"), CPU, "'openvino' cannot be"),
        (accelerators("gpu_execution_accelerator", "tensorrt"), GPU, "'tensorrt' cannot be"),
        (accelerators("gpu_execution_accelerator", "cuda"), CPU, "'cuda' .* is on the CPU"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(given: dict[str, Any], device: Device, reason: str) -> None:
    with pytest.raises(ConfigMismatch, match=reason):
        ort_settings.providers(given, device, ["CPUExecutionProvider"])


def test_model_file_stays_inside_the_models_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigMismatch, match="must stay inside the model's folder"):
        ort_settings.model_file({"default_model_filename": "../../other.onnx"}, tmp_path)


def test_missing_model_file_is_named_from_the_models_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigMismatch, match=r"there is no '1/net.onnx' in the model's folder"):
        ort_settings.model_file({"default_model_filename": "net.onnx"}, tmp_path / "1")


def test_a_folder_of_the_files_name_holds_model_onnx(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx" / "model.onnx"
    file.parent.mkdir()
    file.touch()
    assert ort_settings.model_file({}, tmp_path) == file
