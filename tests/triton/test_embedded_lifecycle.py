"""What is left when parts of the embedded Triton are killed, and what comes back: on real processes."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException

from embedded import leftovers, processes
from embedded.options import TritonOptions
from embedded.server import GRACE_S, ModelsNotLoaded, TritonServer
from embedded.supervisor import Supervisor, ask
from tests.triton import onnx_models
from tests.triton.conftest import READY_TIMEOUT_S, client_of, eventually, free_options

pytestmark = pytest.mark.triton


def test_command_prints_addresses_serves_and_ends_cleanly_on_ctrl_c(
    embedded_binary: None, identity_repository: Path, tmp_path: Path
) -> None:
    options = free_options(identity_repository)
    with launched(options, tmp_path) as launcher:
        said = "".join(until_ready(launcher))
        prefix = leftovers.prefix_of(processes.children(launcher.pid)[0])
        launcher.send_signal(signal.SIGINT)
        _, errors = launcher.communicate(timeout=60)
    assert launcher.returncode == 0
    assert errors == ""
    assert "loaded net" in said
    assert f"gRPC     127.0.0.1:{options.grpc_port}" in said
    assert files_with(prefix) == []


def test_nothing_is_left_when_the_launcher_is_killed_and_another_server_is_untouched(
    backend_server: TritonServer, identity_repository: Path, tmp_path: Path
) -> None:
    others_stubs, others_files = backend_server.stubs(), files_of(backend_server.guardian_pid)
    with launched(free_options(identity_repository), tmp_path) as launcher:
        until_ready(launcher)
        guardian = processes.children(launcher.pid)[0]
        family = [guardian, *descendants(guardian)]
        prefix = leftovers.prefix_of(guardian)
        launcher.kill()
    assert len(family) == 3
    assert eventually(lambda: not any(map(processes.start_ticks, family)))
    assert files_with(prefix) == []
    assert backend_server.stubs() == others_stubs
    assert files_of(backend_server.guardian_pid) == others_files


def test_tritonserver_and_its_stubs_give_way_to_other_processes(server: TritonServer) -> None:
    """By five more than whoever has started them."""
    started = [server.pid, *(pid for pids in server.stubs().values() for pid in pids)]
    assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in started] == [os.nice(0) + 5] * len(started)


def test_tritonserver_and_a_hung_stub_die_when_the_guardian_is_killed(server: TritonServer) -> None:
    prefix = leftovers.prefix_of(server.guardian_pid)
    family = descendants(server.guardian_pid)
    os.kill(server.stubs()["net"][0], signal.SIGSTOP)
    os.kill(server.guardian_pid, signal.SIGKILL)
    assert eventually(lambda: not server.is_alive())
    server.stop()
    assert eventually(lambda: not any(map(processes.start_ticks, family)))
    assert files_with(prefix) == []


def test_a_killed_tritonserver_leaves_no_stub_and_comes_back(server: TritonServer, tmp_path: Path) -> None:
    prefix, old_pid, old_stub = leftovers.prefix_of(server.guardian_pid), server.pid, server.stubs()
    with supervised(server, tmp_path / "control") as came_back:
        os.kill(server.pid, signal.SIGKILL)
        assert came_back.wait(READY_TIMEOUT_S)
        assert infer(server) == 1.0
    assert server.pid != old_pid
    assert server.stubs().keys() == {"net"}
    assert processes.start_ticks(old_stub["net"][0]) is None
    assert files_with(prefix) == []


def test_hung_model_is_healed_by_kill_stub_and_load(server: TritonServer, tmp_path: Path) -> None:
    control = tmp_path / "control"
    with supervised(server, control), client_of(server) as client:
        (hung,) = server.stubs()["net"]
        os.kill(hung, signal.SIGSTOP)
        with pytest.raises(InferenceServerException):
            infer(server, timeout_s=1.0)
        assert ask(control, "kill-stub net", 5.0) == "ok"
        client.load_model("net")
        assert infer(server) == 1.0
        assert hung not in server.stubs()["net"]


def test_a_server_that_does_not_end_in_its_grace_time_is_killed_and_leaves_nothing(
    embedded_binary: None, identity_repository: Path, tmp_path: Path
) -> None:
    options = dataclasses.replace(free_options(identity_repository), exit_timeout_s=60)
    server = TritonServer(options, tmp_path / "triton.log")
    server.start()
    server.wait_ready(READY_TIMEOUT_S)
    prefix, family = leftovers.prefix_of(server.guardian_pid), descendants(server.guardian_pid)
    os.kill(server.stubs()["net"][0], signal.SIGKILL)  # tritonserver now waits for it, as long as it may
    started_s = time.monotonic()
    server.stop(grace_s=0.5)
    assert time.monotonic() - started_s < GRACE_S
    assert not any(map(processes.start_ticks, family))
    assert files_with(prefix) == []


def test_control_socket_is_private_and_answers_what_it_cannot_do(server: TritonServer, tmp_path: Path) -> None:
    control = tmp_path / "control"
    with supervised(server, control) as came_back:
        assert control.stat().st_mode & 0o777 == 0o600
        assert ask(control, "kill-stub ../net", 5.0).startswith("error: there is no model '../net'")
        assert ask(control, "dance", 5.0).startswith("error: expected")
        assert ask(control, "restart", READY_TIMEOUT_S) == "ok"
        assert came_back.is_set()
    assert not control.exists()


def test_a_broken_model_is_named_with_its_reason(
    embedded_binary: None, identity_repository: Path, tmp_path: Path
) -> None:
    folder = onnx_models.save(identity_repository, "broken", onnx_models.IDENTITY_CONFIG, onnx_models.identity())
    (folder / "1" / "model.onnx").write_bytes(b"not a graph")
    server = TritonServer(free_options(identity_repository), tmp_path / "triton.log")
    try:
        server.start()
        with pytest.raises(ModelsNotLoaded) as problem:
            server.wait_ready(READY_TIMEOUT_S)
    finally:
        server.stop()
    assert problem.value.detail.startswith("Triton cannot load broken: ONNX Runtime cannot load model.onnx: ")


def test_a_taken_port_is_refused_with_its_holder(
    backend_server: TritonServer, identity_repository: Path, tmp_path: Path
) -> None:
    options = dataclasses.replace(free_options(identity_repository), grpc_port=backend_server.options.grpc_port)
    with launched(options, tmp_path) as launcher:
        _, errors = launcher.communicate(timeout=30)
    assert launcher.returncode == 1
    assert errors == (
        f"triptych: port {options.grpc_port} (Triton's gRPC) is taken by process "
        f"{backend_server.pid}: stop it or choose another port\n"
    )


@contextmanager
def launched(options: TritonOptions, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    ports = (options.http_port, options.grpc_port, options.metrics_port)
    flags = zip(("--http-port", "--grpc-port", "--metrics-port"), ports, strict=True)
    command = [sys.executable, "-m", "triptych.cli", "triton", "--log", str(folder / "triton.log")]
    command += [f"--repository={path}" for path in options.repositories]
    command += [f"{flag}={port}" for flag, port in flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as launcher:
        try:
            yield launcher
        finally:
            launcher.kill()


def until_ready(launcher: "subprocess.Popen[str]") -> list[str]:
    lines: list[str] = []
    assert launcher.stdout is not None
    for line in launcher.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            return lines
    raise AssertionError(f"it ended before it was ready: {lines}")


@contextmanager
def supervised(server: TritonServer, control: Path) -> Iterator[threading.Event]:
    """The event is set each time the supervisor has brought the server back."""
    came_back = threading.Event()
    supervisor = Supervisor(server, control, on_restart=came_back.set)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        yield came_back
    finally:
        supervisor.stop()
        thread.join()


def infer(server: TritonServer, timeout_s: float = 20.0) -> float:
    tensor = InferInput("x", [1, 1], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 1), np.float32))
    with client_of(server) as client:
        answer = client.infer("net", [tensor], client_timeout=timeout_s).as_numpy("y")
    return float(answer[0, 0])


def descendants(pid: int) -> list[int]:
    found = processes.children(pid)
    return found + [below for child in found for below in descendants(child)]


def files_of(guardian: int) -> list[str]:
    return files_with(f"triptych-{processes.pid_namespace()}-{guardian}-")


def files_with(prefix: str) -> list[str]:
    return sorted(path.name for path in leftovers.SHARED_MEMORY.glob(f"{prefix}*"))
