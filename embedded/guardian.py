"""A small process between the launcher and tritonserver, so that nothing outlives either of them.

    launcher --pipe--> guardian --parent death signal--> tritonserver --> stubs

- The launcher dies, however: its end of the pipe closes, and the guardian stops tritonserver.
- The guardian itself is killed: the kernel kills tritonserver; the next start sweeps up the rest.
- tritonserver dies: the guardian kills the stubs, removes their shared memory, and ends with the same status.

It lives in its own session, so Ctrl-C in the launcher's terminal reaches it only through the launcher. Standard
library only, and few modules of it: it must be up before tritonserver and cost next to nothing.

    python -m embedded.guardian LIFELINE_FD REPORT_FD GRACE_S COMMAND...
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from embedded import leftovers, processes

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# How much the networks, which compute for seconds, give way to who needs the processor for a millisecond, at once.
_NICENESS = 5
_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: Sequence[str]) -> int:
    lifeline, report, grace_s, command = int(arguments[0]), int(arguments[1]), float(arguments[2]), arguments[3:]
    _give_way()
    leftovers.sweep()
    prefix = leftovers.prefix_of(os.getpid())
    wakeup = _wake_on(signal.SIGCHLD, signal.SIGTERM)
    # Stubs whose tritonserver has died become our children, so that we can wait for their end.
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    server = _start_server([*command, f"--backend-config=python,shm-region-prefix-name={prefix}"])
    os.write(report, f"{server.pid}\n".encode())
    os.close(report)
    try:
        _wait_for_end(server, lifeline, wakeup)
        _stop(server, grace_s)
    finally:
        _kill_descendants()
        leftovers.remove(prefix)
    status = server.returncode
    return status if status >= 0 else 128 - status


def _give_way() -> None:
    """With all that is started from here. Where the kernel shares the processor by sessions, it is ours that counts."""
    os.nice(_NICENESS)
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as autogroup:
        autogroup.write(str(_NICENESS))


def _start_server(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    # One thread only, so code between fork and exec is safe.
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_die_with(os.getpid()))


def _die_with(guardian: int) -> Callable[[], None]:
    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != guardian:  # it died before we could ask to be told
            os._exit(1)

    return prepare


def _wake_on(*signals: signal.Signals) -> int:
    """A file descriptor that becomes readable, with the signal's number, when one of them arrives."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for each in signals:
        signal.signal(each, lambda number, frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return reading


def _wait_for_end(server: "subprocess.Popen[bytes]", lifeline: int, wakeup: int) -> None:
    """Until the launcher is gone or wants to stop, or tritonserver has ended."""
    while server.poll() is None:
        ready, _, _ = select.select([lifeline, wakeup], [], [])
        if lifeline in ready:  # nobody ever writes to it: readable means closed
            return
        if signal.SIGTERM in os.read(wakeup, 64):
            return


def _stop(server: "subprocess.Popen[bytes]", grace_s: float) -> None:
    if server.poll() is None:
        server.terminate()
        server.send_signal(signal.SIGCONT)  # one that was stopped must run to hear it
    try:
        server.wait(grace_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _kill_descendants(patience_s: float = 5.0) -> None:
    deadline = time.monotonic() + patience_s
    while (left := processes.children(os.getpid())) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
