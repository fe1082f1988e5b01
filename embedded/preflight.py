"""What would keep Triton from running on this machine: each check says None, or one clear line.

A check is a pure function of facts, so it is tested with facts that this machine does not have. `problems` reads
the facts. A line says what is wrong, the value found, and what to do.
"""

import errno
import platform
import re
import shutil
import socket
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from embedded import layout, processes, repository
from embedded.binary import Binary, home
from embedded.leftovers import SHARED_MEMORY
from embedded.options import TritonOptions

OLDEST_GLIBC = (2, 35)
FIRST_NUMPY_TOO_NEW = 2
NEEDED_SHARED_MEMORY_BYTES = 256 * 1024 * 1024
# The wheel unpacked is 160 MB, and pip needs it twice for a moment.
NEEDED_DISK_BYTES = 500 * 1024 * 1024
_MIB = 1024 * 1024


def problems(options: TritonOptions, binary: Binary) -> list[str]:
    """Everything that is wrong, in the order in which to mend it. Needs no binary installed yet."""
    named = {f"Triton's {name}": port for name, port in options.ports.items()}
    return [*machine_problems(options, binary), *port_problems(options.address, named)]


def machine_problems(options: TritonOptions, binary: Binary) -> list[str]:
    """What is wrong whether or not a Triton runs already, and holds its ports."""
    python_version = sys.version_info[:2]
    found = [
        check_platform(sys.platform, platform.machine()),
        check_glibc(platform.libc_ver()),
        check_libpython(layout.find_libpython(), python_version),
        check_numpy(_numpy_version()),
        *(check_path(path) for path in (*options.repositories, Path(sys.prefix))),
        *(check_repository(path) for path in options.repositories),
        check_profile(options.profile, options.repositories),
        check_models(options.models, repository.models(options.repositories)),
        check_shared_memory(shutil.disk_usage(SHARED_MEMORY).free),
    ]
    if binary.is_installed:
        found.append(check_stub(binary.stub(python_version).is_file(), python_version))
    else:
        found.append(check_disk(home().parent, shutil.disk_usage(home().parent).free))
    return [problem for problem in found if problem is not None]


def port_problems(address: str, ports: Mapping[str, int]) -> list[str]:
    """For ports by what they are for, such as {"REST": 8080}."""
    impossible = [
        f"port {port} ({name}) must be between 1 and 65535" for name, port in ports.items() if not _fits(port)
    ]
    if impossible:
        return impossible
    faults = {port: fault for port in ports.values() if (fault := _bind_fault(address, port)) is not None}
    foreign = sorted({fault.strerror or str(fault) for fault in faults.values() if fault.errno != errno.EADDRINUSE})
    if foreign:
        return [f"cannot listen on {address}: {foreign[0]}; choose an address that this machine has"]
    return check_ports(ports, {port: _listener(port) for port in faults})


def _fits(port: int) -> bool:
    return 1 <= port <= 65535


def check_platform(system: str, machine: str) -> str | None:
    if system == "linux" and machine == "x86_64":
        return None
    return (
        f"the embedded Triton runs on Linux on x86-64, this is {system} on {machine}: "
        "use NVIDIA's container (docker-compose.yml)"
    )


def check_glibc(libc: tuple[str, str]) -> str | None:
    name, version = libc
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if name == "glibc" and numbers >= OLDEST_GLIBC:
        return None
    return (
        f"Triton needs glibc 2.35 or newer, this system has {name or 'another C library'} {version}".rstrip()
        + ": use Debian 12, Ubuntu 22.04 or newer, or NVIDIA's container"
    )


def check_libpython(library: Path | None, python_version: tuple[int, int]) -> str | None:
    if library is not None:
        return None
    version = ".".join(str(number) for number in python_version)
    return (
        f"this Python {version} has no shared library libpython{version}.so.1.0, which Triton's models run in: "
        f"on Debian or Ubuntu `apt-get install libpython{version}`; "
        "with pyenv build Python with PYTHON_CONFIGURE_OPTS=--enable-shared"
    )


def check_stub(exists: bool, python_version: tuple[int, int]) -> str | None:
    if exists:
        return None
    version = ".".join(str(number) for number in python_version)
    return f"Triton has no process stub for Python {version}: make the environment with Python 3.11 or 3.12"


def check_numpy(version: str | None) -> str | None:
    if version is None:
        return "numpy is not installed, and Triton's Python models need it: `pip install 'numpy<2'`"
    if int(version.split(".")[0]) < FIRST_NUMPY_TOO_NEW:
        return None
    return f"numpy {version} breaks every tensor of Triton's Python models: `pip install 'numpy<2'`"


def check_path(path: Path) -> str | None:
    """Triton starts each model's process through a shell and does not quote: a space ends there, and worse."""
    odd = sorted(set(re.sub(r"[A-Za-z0-9_./+@%:=,-]", "", str(path.resolve()))))
    if not odd:
        return None
    return f"Triton cannot work in a path with {' '.join(map(repr, odd))} in it: {path.resolve()}: move it"


def check_repository(path: Path) -> str | None:
    if not path.is_dir():
        return f"there is no model repository folder at {path}"
    if not repository.models([path]):
        return f"the model repository {path} has no model: each is a folder with a config.pbtxt in it"
    return None


def check_profile(profile: str, repositories: Iterable[Path]) -> str | None:
    """Triton ignores a profile that no model has, so a misspelt `gpu` would quietly serve on the CPU."""
    if not profile or any(list(path.glob(f"*/configs/{profile}.pbtxt")) for path in repositories):
        return None
    return f"no model has a profile {profile!r}: there is no */configs/{profile}.pbtxt in the repository"


def check_models(wanted: Iterable[str], present: Iterable[str]) -> str | None:
    missing = sorted(set(wanted) - set(present))
    if not missing:
        return None
    return f"no such model in the repository: {', '.join(missing)} (it has {', '.join(sorted(present)) or 'none'})"


def check_shared_memory(free_bytes: int) -> str | None:
    if free_bytes >= NEEDED_SHARED_MEMORY_BYTES:
        return None
    return (
        f"{SHARED_MEMORY} has {free_bytes // _MIB} MiB free, and Triton's models pass their tensors through it: "
        f"give it {NEEDED_SHARED_MEMORY_BYTES // _MIB} MiB or more (in a container: --shm-size=1g)"
    )


def check_disk(folder: Path, free_bytes: int) -> str | None:
    if free_bytes >= NEEDED_DISK_BYTES:
        return None
    return (
        f"the disk of {folder} has {free_bytes // _MIB} MiB free, and installing Triton needs "
        f"{NEEDED_DISK_BYTES // _MIB} MiB: make room"
    )


def check_ports(ports: Mapping[str, int], busy: Mapping[int, int | None]) -> list[str]:
    """One line for each busy port; `busy` has the pid that listens there, where /proc tells."""
    found = []
    for name, port in ports.items():
        if port in busy:
            holder = "another process" if busy[port] is None else f"process {busy[port]}"
            found.append(f"port {port} ({name}) is taken by {holder}: stop it or choose another port")
    numbers = list(ports.values())
    found.extend(f"port {port} is given twice" for port in sorted({p for p in numbers if numbers.count(p) > 1}))
    return found


def _numpy_version() -> str | None:
    try:
        return metadata.version("numpy")
    except metadata.PackageNotFoundError:
        return None


def _bind_fault(address: str, port: int) -> OSError | None:
    """What keeps a server from listening there, if anything."""
    try:
        family, kind, _, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As Triton does; without it a port that was just freed looks taken for a minute.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as fault:
        return fault
    return None


def _listener(port: int) -> int | None:
    """The process that listens on a TCP port, if /proc lets us see it."""
    inode = _listening_inode(port)
    if inode is None:
        return None
    return next((pid for pid in processes.pids() if f"socket:[{inode}]" in processes.open_files(pid)), None)


def _listening_inode(port: int) -> str | None:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                return fields[9]
    return None
