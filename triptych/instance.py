"""The one Triptych that runs from a clone: its lock, its pid, its files. Starts and stops nothing itself."""

import contextlib
import fcntl
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

from modelcore.errors import SetupProblem

LONGEST_SOCKET_PATH = 107  # bytes, of a Unix socket on Linux


class Instance:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.triton_log = folder / "triton.log"
        self.rest_log = folder / "app.log"
        self.control_socket = folder / "triton.sock"
        self._lock = folder / "up.pid"

    @contextlib.contextmanager
    def claim(self) -> Iterator[None]:
        """Hold the lock while this process serves; the kernel lets go of it even after a SIGKILL."""
        self._prepare()
        with self._lock.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SetupProblem(
                    f"Triptych already runs here as process {self._lock.read_text().strip()}: "
                    "`triptych down` (or Ctrl-C where it runs) stops it"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield
            lock.truncate(0)

    def _prepare(self) -> None:
        if len(os.fsencode(self.control_socket)) > LONGEST_SOCKET_PATH:
            raise SetupProblem(f"the path {self.control_socket} is too long for a socket: choose another with --state")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.touch()
        except OSError as error:
            raise SetupProblem(
                f"cannot write in {self.folder} ({error.strerror}): choose another with --state"
            ) from error

    def running_pid(self) -> int | None:
        """The process that holds the lock now."""
        if not self._lock.exists():
            return None
        with self._lock.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read())
        return None

    def stop_running(self, timeout_s: float) -> bool:
        """End the running instance as Ctrl-C would, and wait for it. False when none runs."""
        pid = self.running_pid()
        if pid is None:
            return False
        ended = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(ended, signal.SIGTERM)
            if not select.select([ended], [], [], timeout_s)[0]:
                raise SetupProblem(
                    f"process {pid} has not ended after {timeout_s:.0f} s; its logs are in {self.folder}"
                )
        finally:
            os.close(ended)
        return True
