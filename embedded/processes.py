"""What /proc says about processes: who lives, whose child, started how. Sends no signals."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STUB_NAME = "triton_python_backend_stub"
# Where tritonserver puts things in a stub's command line (2.51): the model's file, and the shared memory region.
_MODEL_FILE, _REGION = 1, 2


@dataclass(frozen=True)
class Stub:
    """One model instance of the python backend: a process of its own."""

    pid: int
    model: str
    region: str


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot: with the pid, a name no later process can have."""
    fields = _stat_fields(pid)
    # A zombie has ended; only its parent has not noticed yet.
    return None if fields is None or fields[0] == "Z" else int(fields[19])


def parent(pid: int) -> int | None:
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[1])


def children(pid: int) -> list[int]:
    return [other for other in pids() if parent(other) == pid]


def stubs() -> Iterator[Stub]:
    """Every stub of every tritonserver on this machine that we may look at."""
    for pid in pids():
        arguments = command_line(pid)
        if len(arguments) > _REGION and Path(arguments[0]).name == STUB_NAME:
            # .../<model>/<version>/model.py
            yield Stub(pid, Path(arguments[_MODEL_FILE]).parent.parent.name, arguments[_REGION])


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def open_files(pid: int) -> set[str]:
    """What the process has open, as far as we may look."""
    folder = f"/proc/{pid}/fd"
    found: set[str] = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                found.add(os.readlink(f"{folder}/{name}"))
    return found


def command_line(pid: int) -> list[str]:
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def pid_namespace() -> int:
    """The number of our pid namespace: two containers may share /dev/shm and count processes apart."""
    return Path("/proc/self/ns/pid").stat().st_ino


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name: state, parent, ..."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
