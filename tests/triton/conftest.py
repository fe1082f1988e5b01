"""One tritonserver for all tests of the onnxruntime backend, and the means to start others beside it."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tritonclient.grpc

from embedded import preflight
from embedded.binary import find_binary
from embedded.options import TritonOptions
from embedded.server import TritonServer
from tests.triton import onnx_models

READY_TIMEOUT_S = 60.0


@pytest.fixture(scope="session")
def embedded_binary() -> None:
    """Skips where the embedded Triton cannot run."""
    binary = find_binary()
    if not binary.is_installed:
        pytest.skip(f"Triton is not installed in {sys.prefix}: run `make setup`")
    problems = preflight.problems(free_options(Path(__file__).parent), binary)
    problems = [problem for problem in problems if "model repository" not in problem]
    if problems:
        pytest.skip("; ".join(problems))


@pytest.fixture(scope="session")
def backend_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("backend") / "repository"
    onnx_models.save_types(repository)
    onnx_models.save_patient(repository)
    onnx_models.save_narrow(repository)
    onnx_models.save_unbatched(repository)
    return repository


@pytest.fixture(scope="session")
def backend_server(
    embedded_binary: None, backend_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonServer]:
    log = tmp_path_factory.mktemp("log") / "triton.log"
    server = TritonServer(free_options(backend_repository), log)
    try:
        server.start()
        server.wait_ready(READY_TIMEOUT_S)
        yield server
    finally:
        server.stop()


@pytest.fixture
def backend_client(
    backend_server: TritonServer,
) -> Iterator[tritonclient.grpc.InferenceServerClient]:
    with client_of(backend_server) as client:
        yield client


@pytest.fixture
def identity_repository(tmp_path: Path) -> Path:
    repository = tmp_path / "repository"
    onnx_models.save(repository, "net", onnx_models.IDENTITY_CONFIG, onnx_models.identity())
    (repository / "no_model").mkdir()  # Triton grumbles about such folders; they must not stop us
    return repository


@pytest.fixture
def server(embedded_binary: None, identity_repository: Path, tmp_path: Path) -> Iterator[TritonServer]:
    """A server of its own for one test, with the model `net`: started and ready."""
    made = TritonServer(free_options(identity_repository), tmp_path / "triton.log")
    try:
        made.start()
        made.wait_ready(READY_TIMEOUT_S)
        yield made
    finally:
        made.stop()


def client_of(server: TritonServer) -> tritonclient.grpc.InferenceServerClient:
    return tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.options.grpc_port}")


def free_options(repository: Path) -> TritonOptions:
    http, grpc, metrics = free_ports(3)
    # A server with a killed stub waits out its whole exit timeout: a short one for tests.
    return TritonOptions((repository,), http_port=http, grpc_port=grpc, metrics_port=metrics, exit_timeout_s=3)


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def eventually(is_true: Callable[[], bool], timeout_s: float = 30.0) -> bool:
    """Whether it became true in time. For what sends no event: the end of a process not ours, a file's removal."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not is_true():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.02)
    return True
