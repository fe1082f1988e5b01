"""One tritonserver: start it, wait until it serves, look at it, stop it. Restarting is the supervisor's business."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from select import select

from embedded import leftovers, log_file, processes, readiness, repository
from embedded.binary import Binary, find_binary
from embedded.layout import lay_out_backends, triton_environment
from embedded.options import TritonOptions, command_line
from modelcore.errors import ModelUnavailable, NotFound, SetupProblem

GRACE_S = 15.0
SWEEP_TIMEOUT_S = 10.0
START_TIMEOUT_S = 20.0
_POLL_S = 0.05
_PACKAGE_ROOT = Path(__file__).parent.parent

Progress = Callable[[str], None]


class ServerEnded(SetupProblem):
    """tritonserver ended before it was ready."""


class ModelsNotLoaded(SetupProblem):
    """tritonserver is up, but not every model is."""


class TritonServer:
    def __init__(self, options: TritonOptions, log: Path, binary: Binary | None = None) -> None:
        self.options = options
        self.log = log
        self._binary = binary or find_binary()
        self._guardian: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None
        self._reader: readiness.LogReader | None = None
        self._server_pid = 0

    @property
    def pid(self) -> int:
        """tritonserver's own pid."""
        return self._server_pid

    @property
    def guardian_pid(self) -> int:
        return 0 if self._guardian is None else self._guardian.pid

    def start(self) -> None:
        """Start tritonserver and return at once. A dead server may be started again."""
        if self._guardian is not None:
            self._forget()
        command = command_line(self.options, self._binary, lay_out_backends(self._binary))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.trim_log()
        with self.log.open("ab") as log:
            self._reader = readiness.LogReader(self.log)
            self._server_pid = self._start_guardian(command, log.fileno())

    def wait_ready(
        self,
        timeout_s: float,
        on_progress: Progress = lambda _: None,
        give_up: Callable[[], bool] = lambda: False,
    ) -> list[str]:
        """The models that are ready, when all are. SetupProblem says which one is not, and why."""
        deadline = time.monotonic() + timeout_s
        loaded: list[str] = []
        while not readiness.is_up(self.options) or not self.is_alive():
            self._follow_log(loaded, on_progress)
            if not self.is_alive():
                raise ServerEnded(self._why_it_ended())
            if give_up():
                raise ServerEnded("Triton was told to stop while it was starting")
            if time.monotonic() > deadline:
                raise ServerEnded(f"Triton was not ready after {timeout_s:.0f} s; loaded so far: {_names(loaded)}")
            time.sleep(_POLL_S)
        self._follow_log(loaded, on_progress)
        _raise_for(readiness.failed_models(self.options))
        return readiness.ready_models(self.options)

    def is_alive(self) -> bool:
        return self._guardian is not None and self._guardian.poll() is None

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Let requests in flight end, then stop. Returns when no process and no file is left."""
        if self._guardian is None:
            return
        self._guardian.terminate()
        if not self._ends_within(grace_s):
            self._kill_server()
        if not self._ends_within(SWEEP_TIMEOUT_S):
            self._guardian.kill()
            self._guardian.wait()
        self._forget()

    def trim_log(self) -> None:
        log_file.trim(self.log)

    def stubs(self) -> Mapping[str, tuple[int, ...]]:
        """The processes that run each model's instances."""
        found: dict[str, tuple[int, ...]] = {}
        for stub in processes.stubs():
            if processes.parent(stub.pid) == self._server_pid:
                found[stub.model] = (*found.get(stub.model, ()), stub.pid)
        return found

    def kill_stub(self, model: str) -> None:
        """Kill a model's processes, hung ones too, and make the next load of the model a real one.

        Triton answers a load of a model whose files have not changed with success and does nothing, even when the
        model's process is dead. A newer version folder is a change.
        """
        folder = repository.models(self.options.repositories).get(model)
        if folder is None:
            raise NotFound(f"there is no model '{model[:64]}' in the repository")
        for pid in self.stubs().get(model, ()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            for version in repository.versions(folder):
                os.utime(version)
        except OSError as error:
            detail = f"killed, but the repository cannot be marked as changed ({error.strerror}): "
            raise ModelUnavailable(model, detail + "unload the model before loading it") from None

    def _start_guardian(self, command: list[str], log: int) -> int:
        lifeline, self._lifeline = os.pipe()
        reading, report = os.pipe()
        arguments = (str(lifeline), str(report), str(GRACE_S), *command)
        try:
            self._guardian = subprocess.Popen(
                (sys.executable, "-m", "embedded.guardian", *arguments),
                env=_guardian_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lifeline, report),
                start_new_session=True,
            )
        finally:
            os.close(lifeline)
            os.close(report)
        return self._read_pid(reading)

    def _read_pid(self, reading: int) -> int:
        with os.fdopen(reading, "rb") as report:
            ready, _, _ = select([report], [], [], START_TIMEOUT_S)
            line = report.readline() if ready else b""
        if not line:
            raise ServerEnded(f"tritonserver could not be started; see {self.log}")
        return int(line)

    def _ends_within(self, timeout_s: float) -> bool:
        assert self._guardian is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guardian.wait(timeout_s)
        return not self.is_alive()

    def _kill_server(self) -> None:
        """Its guardian sees that and sweeps up. The pid is ours as long as it is the guardian's child."""
        if processes.parent(self._server_pid) == self.guardian_pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server_pid, signal.SIGKILL)

    def _follow_log(self, loaded: list[str], on_progress: Progress) -> None:
        assert self._reader is not None
        for event in self._reader.events():
            if isinstance(event, readiness.Failed):
                _raise_for([event] if readiness.is_wanted(event.model, self.options) else [])
            elif event.model not in loaded:
                loaded.append(event.model)
                on_progress(event.model)

    def _why_it_ended(self) -> str:
        assert self._reader is not None
        assert self._guardian is not None
        self._reader.events()
        said = self._reader.last_error or f"it said nothing (status {self._guardian.returncode})"
        return f"Triton ended while starting: {said} (its log: {self.log})"

    def _forget(self) -> None:
        """Give back what the ended server held, and sweep up if its guardian could not."""
        if self._lifeline is not None:
            os.close(self._lifeline)
        if self._reader is not None:
            self._reader.close()
        self._guardian = self._lifeline = self._reader = None
        self._server_pid = 0
        leftovers.sweep()


def _guardian_environment() -> dict[str, str]:
    environment = triton_environment()
    # So that the guardian runs from a checkout that is not installed; stubs ignore PYTHONPATH.
    paths = (str(_PACKAGE_ROOT), environment.get("PYTHONPATH", ""))
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environment


def _raise_for(failed: list[readiness.Failed]) -> None:
    if failed:
        reasons = "; ".join(f"{each.model}: {each.reason}" for each in failed)
        raise ModelsNotLoaded(f"Triton cannot load {reasons}")


def _names(names: list[str]) -> str:
    return ", ".join(names) or "none"
