"""Our onnxruntime backend inside the real Triton: values, batching, refusals."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from embedded import leftovers
from embedded.server import TritonServer
from tests.triton import onnx_models
from tests.triton.onnx_models import IDENTITY_CONFIG, ONE_CPU_INSTANCE, VALUES, identity, parameter

pytestmark = pytest.mark.triton
Array = np.ndarray[Any, Any]


def given(name: str, array: Array, triton_type: str = "FP32") -> InferInput:
    made = InferInput(name, array.shape, triton_type)
    made.set_data_from_numpy(array)
    return made


@pytest.mark.parametrize("triton_type", VALUES)
def test_every_type_arrives_and_returns_unchanged(backend_client: InferenceServerClient, triton_type: str) -> None:
    inputs = [given(f"in_{name}", array, name) for name, (_, array) in VALUES.items()]
    wanted = [InferRequestedOutput(f"out_{triton_type}")]
    result = backend_client.infer("types", inputs, outputs=wanted)
    sent = VALUES[triton_type][1]
    received = result.as_numpy(f"out_{triton_type}")
    assert received.dtype == sent.dtype
    np.testing.assert_array_equal(received, sent)


def test_only_the_requested_outputs_are_answered(backend_client: InferenceServerClient) -> None:
    inputs = [given(f"in_{name}", array, name) for name, (_, array) in VALUES.items()]
    wanted = [InferRequestedOutput("out_INT8"), InferRequestedOutput("out_BYTES")]
    result = backend_client.infer("types", inputs, outputs=wanted)
    assert {output.name for output in result.get_response().outputs} == {"out_INT8", "out_BYTES"}


def test_text_that_is_not_utf8_is_the_callers_fault(backend_client: InferenceServerClient) -> None:
    values = {name: array for name, (_, array) in VALUES.items()}
    values["BYTES"] = np.array([[b"\xff\xfe"]], np.object_)
    inputs = [given(f"in_{name}", array, name) for name, array in values.items()]
    with pytest.raises(InferenceServerException, match=r"'in_BYTES': .* UTF-8") as refusal:
        backend_client.infer("types", inputs)
    assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_runs_that_fail_give_their_shared_memory_back(
    backend_server: TritonServer, backend_client: InferenceServerClient
) -> None:
    large = given("x", np.zeros((1, 1_000_000), np.float32))  # 4 MB, and one row of 3 is what the graph can add to
    for _ in range(40):
        with pytest.raises(InferenceServerException, match="could not run"):
            backend_client.infer("loose", [large])
    assert shared_bytes(backend_server) < 60_000_000


def shared_bytes(server: TritonServer) -> int:
    """What its processes share with each other: a megabyte each, and what they needed at their busiest."""
    files = leftovers.SHARED_MEMORY.glob(f"{leftovers.prefix_of(server.guardian_pid)}*")
    return sum(file.stat().st_size for file in files)


def test_eight_waiting_requests_become_one_run(backend_client: InferenceServerClient) -> None:
    rows = [np.full((1, 4), number, np.float32) for number in range(8)]
    before = counts(backend_client, "patient")
    answers = infer_together(backend_client, "patient", rows)
    inferences, executions = counts(backend_client, "patient")
    assert (inferences - before[0], executions - before[1]) == (8, 1)
    for row, answer in zip(rows, answers, strict=True):
        np.testing.assert_array_equal(answer, row + 1)


def test_requests_of_several_rows_get_their_own_rows(backend_client: InferenceServerClient) -> None:
    stacks = [np.random.default_rng(seed).random((2, 3), np.float32) for seed in range(4)]
    answers = infer_together(backend_client, "patient", stacks)
    for stack, answer in zip(stacks, answers, strict=True):
        np.testing.assert_array_equal(answer, stack + 1)


def test_wrong_dims_name_the_tensor_and_both_shapes(backend_client: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException) as refusal:
        backend_client.infer("narrow", [given("x", np.zeros((1, 4), np.float32))])
    assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"
    said = refusal.value.message()
    assert "'x'" in said
    assert "[-1,3]" in said
    assert "[1,4]" in said


def test_a_failing_graph_names_its_node_and_no_file_or_traceback(
    backend_client: InferenceServerClient,
) -> None:
    with pytest.raises(InferenceServerException) as failure:
        backend_client.infer("loose", [given("x", np.zeros((1, 4), np.float32))])
    assert failure.value.message() == (
        "model 'loose' could not run: node 'adder' (Add): axis == 1 || axis == largest was false. "
        "Attempting to broadcast an axis by a dimension other than 1. 3 by 4"
    )


def test_optional_input_left_out_takes_the_graphs_default(
    backend_client: InferenceServerClient,
) -> None:
    result = backend_client.infer("unbatched", [given("x", np.zeros((2, 3), np.float32))])
    np.testing.assert_array_equal(result.as_numpy("y"), np.full((2, 3), 10, np.float32))


def test_optional_input_given_is_used_and_a_scalar_has_dims_1(
    backend_client: InferenceServerClient,
) -> None:
    bias = np.array([2], np.float32)
    inputs = [given("x", np.ones((2, 5), np.float32)), given("bias", bias)]
    result = backend_client.infer("unbatched", inputs)
    np.testing.assert_array_equal(result.as_numpy("total"), [30])


def test_thread_count_reaches_onnxruntime(backend_server: TritonServer) -> None:
    one, four = backend_server.stubs()["types"], backend_server.stubs()["unbatched"]
    assert threads(four[0]) - threads(one[0]) == 3


REFUSALS = {
    "a name the graph does not have": (
        IDENTITY_CONFIG.replace('"y"', '"embedding"'),
        identity(),
        r"output 'embedding', which the graph does not have \(it has 'y'\)",
    ),
    "another type than the graph's": (
        IDENTITY_CONFIG.replace("FP32", "FP16"),
        identity(),
        r"input 'x': config.pbtxt says TYPE_FP16, the graph has tensor\(float\)",
    ),
    "an accelerator we do not have": (
        IDENTITY_CONFIG
        + "optimization { execution_accelerators {"
        + ' cpu_execution_accelerator: [{ name: "openvino" }] } }',
        identity(),
        "execution accelerator 'openvino' cannot be honoured here",
    ),
    "a value the key does not have": (
        f"{IDENTITY_CONFIG}\n{parameter('execution_mode', '2')}",
        identity(),
        "parameter execution_mode must be one of 0, 1: '2'",
    ),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_a_model_that_cannot_be_honoured_is_refused_with_the_reason(
    backend_client: InferenceServerClient, backend_repository: Path, why: str
) -> None:
    config, model, reason = REFUSALS[why]
    name = why.replace(" ", "_").replace("'", "")
    onnx_models.save(backend_repository, name, config, model)
    with pytest.raises(InferenceServerException, match=reason):
        backend_client.load_model(name)


def test_gpu_instance_is_refused_where_there_is_no_gpu(
    backend_client: InferenceServerClient, backend_repository: Path
) -> None:
    folder = onnx_models.save(backend_repository, "on_gpu", IDENTITY_CONFIG, identity())
    config = (folder / "config.pbtxt").read_text()
    gpu = ONE_CPU_INSTANCE.replace("KIND_CPU", "KIND_GPU")
    (folder / "config.pbtxt").write_text(config.replace(ONE_CPU_INSTANCE, gpu))
    with pytest.raises(InferenceServerException, match="GPU"):
        backend_client.load_model("on_gpu")


def test_weights_outside_the_models_folder_are_refused(
    backend_client: InferenceServerClient, backend_repository: Path
) -> None:
    model = onnx_models.identity()
    outside = onnx.TensorProto(
        name="x_weights", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL
    )
    outside.external_data.add(key="location", value="../../secret.bin")
    model.graph.initializer.append(outside)
    model.graph.node[0].op_type = "Add"
    model.graph.node[0].input.append("x_weights")
    onnx_models.save(backend_repository, "reaching_out", IDENTITY_CONFIG, onnx_models.identity())
    file = backend_repository / "reaching_out" / "1" / "model.onnx"
    file.write_bytes(model.SerializeToString())
    (backend_repository / "secret.bin").write_bytes(b"\0\0\0\0")
    with pytest.raises(InferenceServerException, match="escapes model directory"):
        backend_client.load_model("reaching_out")


def infer_together(client: InferenceServerClient, model: str, inputs: Sequence[Array]) -> Sequence[Array]:
    with ThreadPoolExecutor(len(inputs)) as pool:
        return list(pool.map(lambda array: client.infer(model, [given("x", array)]).as_numpy("y"), inputs))


def counts(client: InferenceServerClient, model: str) -> tuple[int, int]:
    stats = client.get_inference_statistics(model).model_stats[0]
    return stats.inference_count, stats.execution_count


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
