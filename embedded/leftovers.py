"""What a killed Triton leaves behind: shared memory files and hung stubs. Removes ours, and nothing of anyone else.

Every file and stub of a server carries a prefix that names its guardian: pid namespace, pid and start time. So whose
it is, and whether that guardian still lives, needs no bookkeeping that could itself be lost.
"""

import contextlib
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

from embedded import processes

SHARED_MEMORY = Path("/dev/shm")
_PREFIX = re.compile(r"triptych-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<start>\d+)-")


def prefix_of(pid: int) -> str:
    """The shared memory prefix of a guardian that lives."""
    return f"triptych-{processes.pid_namespace()}-{pid}-{processes.start_ticks(pid)}-"


def sweep(folder: Path = SHARED_MEMORY) -> list[str]:
    """Kill the stubs and remove the files of guardians that are dead; the names of the files removed."""
    _kill_stubs(is_abandoned)
    return _remove_files(folder, is_abandoned)


def remove(prefix: str, folder: Path = SHARED_MEMORY) -> None:
    """The same for one prefix: the guardian's last act, when its server has ended."""
    _kill_stubs(lambda name: name.startswith(prefix))
    _remove_files(folder, lambda name: name.startswith(prefix))


def is_abandoned(name: str) -> bool:
    """Whether this file or region belongs to a guardian of ours that no longer lives."""
    match = _PREFIX.match(name)
    if match is None or int(match["namespace"]) != processes.pid_namespace():
        return False
    return processes.start_ticks(int(match["pid"])) != int(match["start"])


def _kill_stubs(is_ours: Callable[[str], bool]) -> None:
    for stub in processes.stubs():
        if is_ours(stub.region):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(stub.pid, signal.SIGKILL)


def _remove_files(folder: Path, is_ours: Callable[[str], bool]) -> list[str]:
    removed = []
    for name in sorted(name for name in os.listdir(folder) if is_ours(name)):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            (folder / name).unlink()
            removed.append(name)
    return removed
