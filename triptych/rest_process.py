"""The orchestrator as a child process, started again when it dies or falls silent. Knows its address, not its code."""

import contextlib
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
# One that has answered and then misses so many polls in a row is hung, and is killed.
POLL_PAUSE_S = 2.0
POLL_TIMEOUT_S = 2.0
MISSED_POLLS = 3
_POLL_S = 0.05
_READY_TIMEOUT_S = 5.0
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
        self._process.send_signal(signal.SIGCONT)  # one that was stopped must run to hear it
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
            status = self._watch(self._process)
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
            if is_answering(self._host, self._port):
                log.warning("the REST service is back")
                return
            self._stopping.wait(_POLL_S)

    def _watch(self, process: "subprocess.Popen[bytes]") -> int:
        """Until its end: the exit status."""
        missed = 0
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(POLL_PAUSE_S)
            # Silence means nothing while it is starting for the first time, or is told to stop.
            is_due = self._was_ready and not self._stopping.is_set()
            missed = missed + 1 if is_due and not is_answering(self._host, self._port) else 0
            if missed == MISSED_POLLS:
                log.error("the REST service has not answered %d times in a row; killing it", missed)
                process.kill()

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
        try:
            status, body = _get(self._host, self._port, "/health/ready", _READY_TIMEOUT_S)
        except OSError as error:
            return f"no answer on {self._host}:{self._port} ({error.strerror or error})"
        except http.client.HTTPException as error:
            return f"no HTTP on {self._host}:{self._port} ({error!r})"
        return None if status == 200 else _detail(body)


def is_answering(host: str, port: int) -> bool:
    """Whether somebody is at work behind the port, whatever it says: a busy service may refuse, a hung one cannot."""
    try:
        _get(host, port, "/health/live", POLL_TIMEOUT_S)
    except (ConnectionResetError, BrokenPipeError):
        return True  # at its limit of connections it hangs up at once
    except (OSError, http.client.HTTPException):
        return False
    return True


def _get(host: str, port: int, path: str, timeout_s: float) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body).get("detail", "no reason given"))
    except ValueError:
        return "an answer that is not JSON"


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
