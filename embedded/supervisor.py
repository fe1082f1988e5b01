"""Keep one tritonserver running, and let a watchdog ask for repairs. Decides nothing about health by itself.

A dead tritonserver is seen at once and started again, after a pause that grows while it keeps dying. A hung model is
not ours to see: whoever probes it asks through the control socket, one line a connection:

    kill-stub MODEL   kill the model's processes, so that loading it (over gRPC) starts new ones
    restart           stop tritonserver and start it again

The answer is one line: `ok`, or `error: ...`.
"""

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from embedded.server import ModelsNotLoaded, TritonServer
from modelcore.errors import SetupProblem, TriptychError

READY_TIMEOUT_S = 300.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 60.0
# Whoever asks for a restart has found the server broken; it gets less time than at an orderly stop.
RESTART_GRACE_S = 3.0
LOG_CHECK_S = 10.0
_LINE_LIMIT_BYTES = 256
_CLIENT_TIMEOUT_S = 2.0

log = logging.getLogger(__name__)


class Supervisor:
    """Watches a server that is started and ready. `run` blocks; `stop` ends it, from any thread or signal handler."""

    def __init__(
        self,
        server: TritonServer,
        control: Path | None = None,
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        self._server = server
        self._on_restart = on_restart
        self._pause_s = FIRST_PAUSE_S
        self._started_at = time.monotonic()
        self._stopping = threading.Event()
        self._wakeup_reading, self._wakeup_writing = os.pipe()
        self._control = None if control is None else _listen(control)
        self._control_path = control

    def stop(self) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            os.write(self._wakeup_writing, b".")

    def run(self) -> None:
        """Until `stop`. Leaves the server as it is: who started it stops it."""
        try:
            while not self._stopping.is_set():
                self._wait_for_something()
                if not self._server.is_alive() and not self._stopping.is_set():
                    self._revive()
        finally:
            self._close()

    def _wait_for_something(self) -> None:
        """The server's end, a control request (which is answered), `stop`, or the time to look at the log."""
        if not self._server.is_alive():
            return
        ended = os.pidfd_open(self._server.guardian_pid)
        try:
            with selectors.DefaultSelector() as selector:
                for source in (ended, self._wakeup_reading, self._control):
                    if source is not None:
                        selector.register(source, selectors.EVENT_READ)
                for key, _ in selector.select(LOG_CHECK_S):
                    if key.fileobj is self._control:
                        self._answer_one()
            self._server.trim_log()
        finally:
            os.close(ended)

    def _revive(self) -> None:
        if time.monotonic() - self._started_at > STEADY_AFTER_S:
            self._pause_s = FIRST_PAUSE_S
        log.warning("tritonserver ended; starting it again in %.1f s", self._pause_s)
        if self._stopping.wait(self._pause_s):
            return
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        with contextlib.suppress(SetupProblem):  # logged; a dead server is tried again
            self._start()

    def _start(self) -> None:
        self._started_at = time.monotonic()
        try:
            self._server.start()
            models = self._server.wait_ready(READY_TIMEOUT_S, give_up=self._stopping.is_set)
        except ModelsNotLoaded as problem:
            # The other models serve, so it stays up; the watchdog will ask for the missing one.
            log.error("tritonserver is back, but not whole: %s", problem.detail)
            raise
        except SetupProblem as problem:
            log.error("tritonserver did not come back: %s", problem.detail)
            raise
        log.info("tritonserver is back with %s", ", ".join(models))
        self._on_restart()

    def _answer_one(self) -> None:
        assert self._control is not None
        connection, _ = self._control.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_CLIENT_TIMEOUT_S)
            line = connection.makefile("rb").readline(_LINE_LIMIT_BYTES).decode(errors="replace").strip()
            answer = self._obey(line)
            connection.sendall(answer.encode() + b"\n")

    def _obey(self, line: str) -> str:
        verb, _, argument = line.partition(" ")
        try:
            if verb == "kill-stub" and argument:
                self._server.kill_stub(argument)
            elif verb == "restart" and not argument:
                self._server.stop(RESTART_GRACE_S)
                self._start()
            else:
                return "error: expected 'kill-stub MODEL' or 'restart'"
        except TriptychError as problem:
            return f"error: {problem.detail}"
        log.warning("did '%s' on request", line)
        return "ok"

    def _close(self) -> None:
        if self._control is not None and self._control_path is not None:
            self._control.close()
            self._control_path.unlink(missing_ok=True)
        os.close(self._wakeup_reading)
        os.close(self._wakeup_writing)


def ask(control: Path, line: str, timeout_s: float) -> str:
    """The supervisor's answer to one request."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(control))
        connection.sendall(line.encode() + b"\n")
        return connection.makefile("rb").readline().decode().strip()


def _listen(path: Path) -> socket.socket:
    """A socket that only this user may open, from its first moment on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    previous = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(previous)
    listener.listen()
    return listener
