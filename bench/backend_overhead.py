"""What a call costs beyond the network itself: our onnxruntime backend against `session.run` in this process.

    python -m bench.backend_overhead [--calls 600]

16 kB in and 16 kB out, one client, one call at a time. Three ways are timed in turn, round by round, so that a busy
moment hits all of them:

- in process: ONNX Runtime on the same graph with the same options;
- python identity: a python model that returns its input, through Triton over gRPC: what Triton itself costs;
- onnxruntime backend: the graph through Triton over gRPC.
"""

import argparse
import contextlib
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tritonclient.grpc
from onnx import TensorProto, helper, numpy_helper

from embedded.options import TritonOptions
from embedded.server import TritonServer

NUMBERS = 4096  # of four bytes: 16 kB
ROUNDS = 12
READY_TIMEOUT_S = 60.0
TARGET_MS = 1.0

_CONFIG = """
backend: "{backend}"
max_batch_size: 8
input [{{ name: "x" data_type: TYPE_FP32 dims: [-1] }}]
output [{{ name: "y" data_type: TYPE_FP32 dims: [-1] }}]
instance_group [{{ kind: KIND_CPU count: 1 }}]
parameters {{ key: "intra_op_thread_count" value: {{ string_value: "1" }} }}
"""
_IDENTITY = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([self._same(request)]) for request in requests]

    def _same(self, request):
        return pb_utils.Tensor("y", pb_utils.get_input_tensor_by_name(request, "x").as_numpy())
"""

Way = Callable[[], Any]


def main() -> int:
    parser = argparse.ArgumentParser(description="overhead of the onnxruntime backend, per call")
    parser.add_argument("--calls", type=int, default=600, help="calls of each way (default: 600)")
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder:
        graph = _write_repository(Path(folder) / "repository")
        medians = _measure(Path(folder), graph, calls)
    sys.stdout.write(report(medians, calls) + "\n")
    return 0


def report(medians_ms: Mapping[str, float], calls: int) -> str:
    whole = medians_ms["onnxruntime backend"] - medians_ms["in process"]
    own = medians_ms["onnxruntime backend"] - medians_ms["python identity"]
    verdict = "met" if whole < TARGET_MS else "MISSED"
    lines = [f"16 kB in and out, medians of {calls} calls each, one run:"]
    lines += [f"  {name:<22}{median:8.3f} ms" for name, median in medians_ms.items()]
    lines += [
        f"overhead per call       {whole:8.3f} ms   target under {TARGET_MS:.1f} ms: {verdict}",
        f"  of it the backend's   {own:8.3f} ms   (session.run included)",
        f"  of it Triton and gRPC {whole - own:8.3f} ms",
    ]
    return "\n".join(lines)


def _measure(folder: Path, graph: Path, calls: int) -> dict[str, float]:
    http, grpc, metrics = _free_ports(3)
    options = TritonOptions((folder / "repository",), http_port=http, grpc_port=grpc, metrics_port=metrics)
    server = TritonServer(options, folder / "triton.log")
    try:
        server.start()
        server.wait_ready(READY_TIMEOUT_S)
        with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{grpc}") as client:
            return _medians_ms(_ways(client, graph), calls)
    finally:
        server.stop()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _ways(client: tritonclient.grpc.InferenceServerClient, graph: Path) -> dict[str, Way]:
    array = np.random.default_rng(0).random((1, NUMBERS), np.float32)
    tensor = tritonclient.grpc.InferInput("x", array.shape, "FP32")
    tensor.set_data_from_numpy(array)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return {
        "in process": lambda: session.run(["y"], {"x": array}),
        "python identity": lambda: client.infer("identity", [tensor]).as_numpy("y"),
        "onnxruntime backend": lambda: client.infer("graph", [tensor]).as_numpy("y"),
    }


def _medians_ms(ways: Mapping[str, Way], calls: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(ROUNDS + 1):
        for name, way in ways.items():
            times_ms = [_time_ms(way) for _ in range(max(1, calls // ROUNDS))]
            if round_number > 0:  # the first round warms up
                taken[name].extend(times_ms)
    return {name: statistics.median(times_ms) for name, times_ms in taken.items()}


def _time_ms(way: Way) -> float:
    start = time.perf_counter()
    way()
    return (time.perf_counter() - start) * 1000


def _write_repository(repository: Path) -> Path:
    """The two models; the path of the graph."""
    for name, backend in (("graph", "onnxruntime"), ("identity", "python")):
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(_CONFIG.format(backend=backend))
    (repository / "identity" / "1" / "model.py").write_text(_IDENTITY)
    graph = repository / "graph" / "1" / "model.onnx"
    onnx.save(_plus_one(), graph)
    return graph


def _plus_one() -> onnx.ModelProto:
    """Next to no work, so that what is left is overhead."""
    made = helper.make_graph(
        [helper.make_node("Add", ["x", "one"], ["y"])],
        "plus_one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", "numbers"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", "numbers"])],
        [numpy_helper.from_array(np.ones(1, np.float32), "one")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    sys.exit(main())
