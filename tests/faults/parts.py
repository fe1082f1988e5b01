"""The real parts of a Triptych as processes that can be killed at any moment and come back at their old addresses."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.storage.servers import wait_until
from tests.triptych_process import PROJECT

STOP_TIMEOUT_S = 60.0
TRITON_TIMEOUT_S = 180.0


class Part:
    """`python -m ARGUMENTS`. What it prints goes into a log, one for all its lives."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self._arguments = arguments
        self._environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"} | environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Does not wait: a supervisor does not either, and the next blow may fall while it starts."""
        command = [sys.executable, "-m", *self._arguments]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=PROJECT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def strike(self) -> None:
        """kill -9, and back again."""
        self.kill()
        self.start()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """In order, as at the end of a day: what is left after that, it has left behind."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_TIMEOUT_S)


class Whole(Part):
    """A part with all its descendants, which die in the same moment."""

    def kill(self) -> None:
        root = psutil.Process(self.process.pid)
        family = [*root.children(recursive=True), root]
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait()
        psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)


class TritonPart(Part):
    """`triptych triton`, whose own supervisor starts tritonserver again."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path, grpc_address: str) -> None:
        super().__init__(arguments, environment, log)
        self.grpc_address = grpc_address

    def strike(self) -> None:
        """Also while it loads; between two lives there is nothing to kill, and the blow waits for the next."""
        wait_until(lambda: bool(self._servers()), "there is a tritonserver", TRITON_TIMEOUT_S)
        for each in self._servers():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()

    def _servers(self) -> list[psutil.Process]:
        return [each for each in psutil.Process(self.process.pid).children(recursive=True) if _is_tritonserver(each)]

    def wait_ready(self) -> None:
        wait_until(lambda: "Triton is ready" in self.output, "Triton is ready", TRITON_TIMEOUT_S)


@contextlib.contextmanager
def running(*parts: Part) -> Iterator[None]:
    """Started, and ended in order; those that do not end so are killed, and the test fails."""
    started: list[Part] = []
    try:
        for part in parts:
            part.start()
            started.append(part)
        yield
        for part in started:
            part.stop()
    finally:
        for part in started:
            if part.process.poll() is None:
                Whole.kill(part)  # type: ignore[arg-type]


def _is_tritonserver(process: psutil.Process) -> bool:
    try:
        return process.name() == "tritonserver" and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
