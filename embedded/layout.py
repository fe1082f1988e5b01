"""Triton's backends folder and environment, made to fit this virtual environment. Starts nothing.

What the wheel ships cannot be used as it lies: it has no `onnxruntime` backend, and the stub (the process that runs
Python models) must be the one built for the running Python and must find that very Python's library.
"""

import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from embedded.binary import Binary, home

_OUR_BACKENDS = Path(__file__).parent / "backends"
# tritonserver's blocks of memory are other people's messages. Left to itself the C library takes a large one for a sign
# of more to come, and keeps the memory of the largest in each of 16 places. The second number is its first limit.
_SERVERS_MEMORY = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(128 * 1024)}
_STUB_SCRIPT = """#!/bin/sh
# Models make arrays of megabytes again and again: to be given new memory for each would slow some by a third.
unset {names}
exec {stub} "$@"
"""


def lay_out_backends(
    binary: Binary,
    target: Path | None = None,
    python_version: tuple[int, int] = sys.version_info[:2],
) -> Path:
    """Make (or repair) the backends folder and return it. Safe to repeat, and while a server uses it."""
    target = target or home() / "backends"
    python = target / "python"
    python.mkdir(parents=True, exist_ok=True)
    # Triton refuses a library that a symlink takes out of its backends folder, so this one is a copy.
    _place_copy(binary.python_backend / "libtriton_python.so", python / "libtriton_python.so")
    _place_link(
        binary.python_backend / "triton_python_backend_utils.py",
        python / "triton_python_backend_utils.py",
    )
    # The stub finds its libraries relative to where it really lies: a copy would not.
    stub = _STUB_SCRIPT.format(names=" ".join(_SERVERS_MEMORY), stub=shlex.quote(str(binary.stub(python_version))))
    _place_script(stub, python / "triton_python_backend_stub")
    for backend in sorted(path for path in _OUR_BACKENDS.iterdir() if (path / "model.py").is_file()):
        _place_link(backend, target / backend.name)
    return target


def triton_environment(base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """tritonserver's, whose memory stays small, and in which its stubs run this interpreter and no other."""
    environment = {**_SERVERS_MEMORY, **base}
    # PATH decides which Python a stub becomes; VIRTUAL_ENV does nothing, and PYTHONPATH is ignored.
    environment["PATH"] = _prepend(Path(sys.prefix) / "bin", base.get("PATH", ""))
    library = find_libpython()
    if library is not None:
        # Without this the loader may take another Python of the same version, whose modules then do not load.
        environment["LD_LIBRARY_PATH"] = _prepend(library.parent, base.get("LD_LIBRARY_PATH", ""))
    if not _has_onnxruntime_gpu() and "CUDA_VISIBLE_DEVICES" not in base:
        # On a machine with a GPU, KIND_AUTO means GPU, and onnxruntime without CUDA would have to refuse it.
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    return environment


def libpython_name() -> str:
    return f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"


def find_libpython() -> Path | None:
    """The shared library of this very interpreter, or None if it was built without one."""
    libdir = sysconfig.get_config_var("LIBDIR") or ""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    # The last one is for relocated builds, whose LIBDIR names the machine that built them.
    folders = (Path(libdir), Path(libdir) / multiarch, Path(sys.base_prefix) / "lib")
    for folder in folders:
        if (folder / libpython_name()).is_file():
            return folder / libpython_name()
    return None


def _has_onnxruntime_gpu() -> bool:
    try:
        metadata.version("onnxruntime-gpu")
    except metadata.PackageNotFoundError:
        return False
    return True


def _prepend(folder: Path, paths: str) -> str:
    return f"{folder}{os.pathsep}{paths}" if paths else str(folder)


def _place_copy(source: Path, destination: Path) -> None:
    if destination.is_file() and not destination.is_symlink():
        theirs, ours = source.stat(), destination.stat()
        if (theirs.st_size, theirs.st_mtime_ns) == (ours.st_size, ours.st_mtime_ns):
            return
    staged = destination.with_name(f".{destination.name}.{os.getpid()}")
    shutil.copy2(source, staged)
    staged.replace(destination)


def _place_script(text: str, destination: Path) -> None:
    if destination.is_file() and not destination.is_symlink() and destination.read_bytes() == text.encode():
        return
    staged = destination.with_name(f".{destination.name}.{os.getpid()}")
    staged.write_text(text)
    staged.chmod(0o755)
    staged.replace(destination)


def _place_link(source: Path, destination: Path) -> None:
    if destination.is_symlink() and destination.readlink() == source:
        return
    staged = destination.with_name(f".{destination.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)
    staged.symlink_to(source)
    staged.replace(destination)
