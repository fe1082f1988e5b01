"""The orchestrator as a child process that is started again when it dies. Knows its address, not its code."""

import ctypes
import http.client
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

from modelcore.errors import SetupProblem

GRACE_S = 15.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 60.0
_POLL_S = 0.05
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)

log = logging.getLogger(__name__)


class RestProcess:
    def __init__(self, host: str, port: int, environment: Mapping[str, str]) -> None:
        self._host, self._port = host, port
        self._environment = {**os.environ, **environment}
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._early_end: int | None = None
        self._was_ready = False
        # One thread starts every child: the kernel ties a child's parent-death signal to the thread that made it.
        self._keeper = threading.Thread(target=self._keep_running, name="rest-keeper", daemon=True)

    def start(self) -> None:
        self._keeper.start()

    def wait_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while (problem := self._not_ready_because()) is not None:
            if self._early_end is not None:
                raise SetupProblem(f"the REST service ended at once with status {self._early_end}: see its last lines")
            if time.monotonic() > deadline:
                raise SetupProblem(f"the REST service was not ready after {timeout_s:.0f} s: {problem}")
            time.sleep(_POLL_S)
        self._was_ready = True

    def stop(self) -> None:
        """SIGTERM lets requests in flight end; what has not ended after the grace time is killed."""
        self._stopping.set()
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._keeper.join()

    def _keep_running(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            started = time.monotonic()
            self._process = self._spawn()
            self._tell_when_back()
            status = self._process.wait()
            if self._stopping.is_set():
                return
            if not self._was_ready:
                self._early_end = status
                return
            pause_s = FIRST_PAUSE_S if time.monotonic() - started > STEADY_AFTER_S else pause_s
            log.warning("the REST service ended with status %d; starting it again in %.1f s", status, pause_s)
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _tell_when_back(self) -> None:
        while self._was_ready and self._process is not None and self._process.poll() is None:
            if self._not_ready_because() is None:
                log.warning("the REST service is back")
                return
            self._stopping.wait(_POLL_S)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            (sys.executable, "-m", "orchestrator"),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the same lines are in app.log
            start_new_session=True,  # Ctrl-C is for us; we stop it in order
            preexec_fn=_end_with_parent,
        )

    def _not_ready_because(self) -> str | None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            return f"no answer on {self._host}:{self._port} ({error.strerror or error})"
        finally:
            connection.close()
        return None if answer.status == 200 else _detail(body)


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body).get("detail", "no reason given"))
    except ValueError:
        return "an answer that is not JSON"


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
