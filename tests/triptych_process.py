"""A whole Triptych as a user starts it: `triptych up` on free ports, in a state folder of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parent.parent
READY = "Ctrl-C stops it"  # the last of what it prints once it is ready, so that all of that can be read
READY_TIMEOUT_S = 90.0


@dataclass(frozen=True)
class Addresses:
    rest: str
    triton_grpc: str
    triton_http: str
    triton_metrics: str

    @property
    def arguments(self) -> list[str]:
        ports = {
            "--port": self.rest,
            "--triton-grpc-port": self.triton_grpc,
            "--triton-http-port": self.triton_http,
            "--triton-metrics-port": self.triton_metrics,
        }
        return [f"{flag}={address.rpartition(':')[2]}" for flag, address in ports.items()]


class TriptychProcess:
    """Reads what the process prints, so that a test can wait for a line instead of sleeping."""

    def __init__(self, command: list[str], state: Path, addresses: Addresses) -> None:
        self.addresses = addresses
        self.state = state
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        with self._changed:
            return "".join(self._lines)

    def wait_for_line(self, text: str, timeout_s: float = READY_TIMEOUT_S) -> None:
        with self._changed:
            seen = self._changed.wait_for(lambda: self._has(text) or not self._reader.is_alive(), timeout_s)
            if not seen or not self._has(text):
                raise AssertionError(f"never said {text!r}:\n{''.join(self._lines)}")

    def interrupt(self, timeout_s: float = 60.0) -> int:
        """Ctrl-C, as a terminal sends it: to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout_s)

    def _has(self, text: str) -> bool:
        return any(text in line for line in self._lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


@contextlib.contextmanager
def running_triptych(state: Path, command: list[str] | None = None) -> Iterator[TriptychProcess]:
    """Started and ready; stopped at the end, also when the test has failed."""
    addresses = free_addresses()
    base = command or [sys.executable, "-m", "triptych", "up"]
    triptych = TriptychProcess([*base, *addresses.arguments, f"--state={state}"], state, addresses)
    try:
        triptych.wait_for_line(READY)
        yield triptych
    finally:
        if triptych.process.poll() is None:
            triptych.interrupt()
        triptych.process.wait()


def free_addresses() -> Addresses:
    """Four ports that are free now, held together so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(4)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return Addresses(*(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets))
