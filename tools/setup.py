"""Make this clone ready: virtual environment, packages, Triton's binary, the demo family's models.

Runs on a bare Python with the standard library alone. What is done already is found out and skipped.
"""

import argparse
import contextlib
import ctypes
import fcntl
import glob
import hashlib
import json
import os
import platform
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

PROJECT = Path(__file__).resolve().parent.parent
ENVIRONMENT = PROJECT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
REFERENCES = ENVIRONMENT / "reference"
STAMP = ENVIRONMENT / "setup.json"
LOCK = PROJECT / ".setup.lock"
TICK_S = 1.0
QUIET_S = 15.0  # between two lines of progress where no terminal shows them
TORCH = "torch==2.13.0"
DISK_NEEDED_GB = {"cpu": 3, "cuda": 12}
MINIMUM_GLIBC = (2, 35)
OVERRULE = "TRIPTYCH_ACCELERATOR"


class Problem(Exception):
    """One line for the person at the terminal."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/setup.py", description=__doc__.splitlines()[0])
    parser.add_argument(
        "purpose",
        choices=["run", "test"],
        help="test adds the tools of `make test` and `make check`",
    )
    purpose = parser.parse_args().purpose
    try:
        with only_one():
            set_up(purpose)
    except Problem as problem:
        say(f"setup: {problem}", stream=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Two setups at once would build on each other's half-made environment. The kernel lets go when we end."""
    with LOCK.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("setup: another setup of this clone is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up(purpose: str) -> None:
    check_glibc()
    check_path()
    accelerator, reason = choose_accelerator()
    wanted = fingerprint(accelerator)
    if not is_installed(purpose, wanted):
        check_disk(accelerator)
        say(f"setup: {reason}")
        STAMP.unlink(missing_ok=True)  # from here on the environment is in between
        make_environment()
        install_torch(accelerator)
        install_packages(purpose, accelerator)
        if purpose == "test":
            install_references()
        remember(purpose, wanted)
    run_step("Triton's server binary", [PYTHON, "-m", "embedded.binary"])
    # Another family that was exported into the same models is there on purpose.
    run_step("demo models", [PYTHON, "-m", "triptych", "export", "demo", "--keep-others"])


# 1. What machine is this


def check_glibc() -> None:
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_GLIBC:
        wanted = ".".join(map(str, MINIMUM_GLIBC))
        raise Problem(
            f"Triton's binary needs glibc {wanted} or newer (Debian 12, Ubuntu 22.04): found {name or 'none'} {version}"
        )


def check_path() -> None:
    """Triton starts each model's process through a shell, and does not quote."""
    odd = sorted(set(re.sub(r"[A-Za-z0-9_./+@%:=,-]", "", str(PROJECT))))
    if odd:
        raise Problem(f"Triton cannot run from a path with {' '.join(map(repr, odd))} in it: {PROJECT}; move the clone")


def check_disk(accelerator: str) -> None:
    free_gb = shutil.disk_usage(PROJECT).free / 1e9
    needed_gb = DISK_NEEDED_GB[accelerator]
    if free_gb < needed_gb:
        raise Problem(f"the disk under {PROJECT} has {free_gb:.1f} GB free; setting up takes {needed_gb} GB")


def choose_accelerator() -> tuple[str, str]:
    """`cpu` or `cuda`, and the sentence that says why."""
    overruled = os.environ.get(OVERRULE, "")
    if overruled in DISK_NEEDED_GB:
        return overruled, f"{OVERRULE}={overruled}: installing {overruled.upper()} builds"
    if overruled:
        raise Problem(f"{OVERRULE} must be cpu or cuda: {overruled!r}")
    if glob.glob("/dev/nvidia[0-9]*"):
        return "cuda", f"an NVIDIA GPU is here: installing CUDA builds ({OVERRULE}=cpu overrules)"
    return (
        "cpu",
        f"no NVIDIA GPU (no /dev/nvidia0): installing CPU builds ({OVERRULE}=cuda overrules)",
    )


# 2. Has it been done


def fingerprint(accelerator: str) -> str:
    """Changes when anything that decides the environment's content changes."""
    digest = hashlib.sha256(f"{accelerator} {sys.version}".encode())
    for name in ("pyproject.toml", "constraints.txt", "tools/reference.txt"):
        digest.update((PROJECT / name).read_bytes())
    return digest.hexdigest()


def is_installed(purpose: str, wanted: str) -> bool:
    try:
        done = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return False
    return done.get("fingerprint") == wanted and purpose in done.get("purposes", [])


def remember(purpose: str, wanted: str) -> None:
    # The tools for tests come on top of what serving needs.
    purposes = ["run", "test"] if purpose == "test" else ["run"]
    STAMP.write_text(json.dumps({"fingerprint": wanted, "purposes": purposes}))


# 3. Do it


def make_environment() -> None:
    if Path(sys.prefix) != ENVIRONMENT or not has_pip():
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        run_step("virtual environment", [sys.executable, "-m", "venv", ENVIRONMENT])
    pip_step("build tools", ["setuptools"])


def has_pip() -> bool:
    """A setup that was interrupted at the right moment leaves a Python without it."""
    return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def install_torch(accelerator: str) -> None:
    """From pip's configured sources first; a CPU machine never takes a build that drags CUDA along."""
    if accelerator == "cuda" or offered_torch_is_cpu_build():
        pip_step("torch", [TORCH])
        return
    say("setup: pip's sources offer only a CUDA build of torch; taking the CPU build from PyTorch's own index by uv")
    pip_step("uv", ["uv"])
    command = [PYTHON, "-m", "uv", "pip", "install", "--python", PYTHON, "--torch-backend", "cpu"]
    try:
        run_step("torch", [*command, "--constraint", "constraints.txt", TORCH])
    except Problem as problem:
        raise Problem(
            f"no CPU build of {TORCH} could be had; name a folder or index that has one in PIP_FIND_LINKS or "
            f"PIP_EXTRA_INDEX_URL, or accept the CUDA build with {OVERRULE}=cuda"
        ) from problem


def offered_torch_is_cpu_build() -> bool:
    """Ask pip what it would install, and look at what that depends on. Downloads metadata only."""
    command = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--no-deps",
        "--report",
        "-",
        TORCH,
    ]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        return False
    planned = json.loads(answer.stdout)["install"]
    needs = [need for item in planned for need in item["metadata"].get("requires_dist", [])]
    return not any(need.startswith(("nvidia-", "cuda-")) for need in needs)


def install_packages(purpose: str, accelerator: str) -> None:
    extras = ["orchestrator", "stubs", "export", "gpu" if accelerator == "cuda" else "cpu"]
    if purpose == "test":
        extras += ["training", "test"]
    # A plain path file, not an import hook: Triton's stubs run Python in isolated mode and must find us too.
    mode = ["--no-build-isolation", "--config-settings", "editable_mode=compat"]
    pip_step("packages", [*mode, "--editable", f".[{','.join(extras)}]"])


def install_references() -> None:
    """Packages that only tests compare with, and that would shadow our own in the environment itself."""
    shutil.rmtree(REFERENCES, ignore_errors=True)
    aside = ["--no-deps", "--no-build-isolation", "--target", REFERENCES, "--requirement", "tools/reference.txt"]
    # Where nvcc is at hand, SAM2 would build CUDA kernels for minutes; only its Python is wanted.
    run_step(
        "references",
        ["env", "SAM2_BUILD_CUDA=0", PYTHON, "-m", "pip", "install", "--disable-pip-version-check", *aside],
    )


def pip_step(title: str, arguments: list[str]) -> None:
    pip = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--constraint",
        "constraints.txt",
    ]
    run_step(title, [*pip, *arguments])


def run_step(title: str, command: list[object]) -> None:
    """Run quietly, but show that it lives: one line that counts, and the whole output if it fails."""
    started = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=end_with_parent,
    )
    output = follow(process, title, started)
    clear_line()
    if process.wait() != 0:
        sys.stderr.write("\n".join(output[-40:]) + "\n")
        raise Problem(f"{title}: failed; what it said stands above")
    seconds = time.monotonic() - started
    if seconds > 1:
        say(f"setup: {title}: done in {seconds:.0f} s")


def end_with_parent() -> None:
    """A killed setup must not leave a pip behind that the next one would race."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def follow(process: "subprocess.Popen[bytes]", title: str, started: float) -> list[str]:
    """Its lines; shows the time every second, whether or not it says anything."""
    assert process.stdout is not None
    text = b""
    shown = started
    while True:
        ready, _, _ = select.select([process.stdout], [], [], TICK_S)
        if ready:
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                process.stdout.close()
                return text.decode(errors="replace").splitlines()
            text += piece
        shown = show_progress(title, started, shown, text)


def show_progress(title: str, started: float, shown: float, text: bytes) -> float:
    now = time.monotonic()
    line = text.rstrip().rpartition(b"\n")[2].decode(errors="replace").strip()
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write(f"\r\033[K{f'setup: {title}: {now - started:3.0f} s  {line}'[:width]}")
        sys.stdout.flush()
    elif now - shown > QUIET_S:
        say(f"setup: {title}: {now - started:.0f} s, still working")
        return now
    return shown


def clear_line() -> None:
    if sys.stdout.isatty():
        sys.stdout.write("\r\033[K")


def say(text: str, stream: TextIO | None = None) -> None:
    stream = stream or sys.stdout
    stream.write(f"{text}\n")
    stream.flush()


if __name__ == "__main__":
    raise SystemExit(main())
