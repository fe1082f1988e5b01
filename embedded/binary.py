"""Where tritonserver is, and how it gets there. Knows the wheel; starts nothing.

The PyPI wheel `nvidia-pytriton` carries NVIDIA's own tritonserver. We take the binary and never import the package,
so it is installed aside, inside the virtual environment but out of Python's sight.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelcore.errors import SetupProblem

WHEEL_NAME = "nvidia-pytriton"
WHEEL_VERSION = "0.7.0"
INSTALL_TIMEOUT_S = 900.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class Binary:
    """The wheel's parts that we use. The paths are where the wheel has them; they may not exist."""

    wheel: Path

    @property
    def root(self) -> Path:
        return self.wheel / "pytriton" / "tritonserver"

    @property
    def server(self) -> Path:
        return self.root / "bin" / "tritonserver"

    @property
    def python_backend(self) -> Path:
        return self.root / "backends" / "python"

    @property
    def caches(self) -> Path:
        return self.root / "caches"

    def stub(self, python_version: tuple[int, int]) -> Path:
        major, minor = python_version
        return self.root / "python_backend_stubs" / f"{major}.{minor}" / "triton_python_backend_stub"

    @property
    def is_installed(self) -> bool:
        marker = f"{WHEEL_NAME.replace('-', '_')}-{WHEEL_VERSION}.dist-info"
        return self.server.is_file() and (self.wheel / marker).is_dir()


def home(prefix: Path = Path(sys.prefix)) -> Path:
    """The folder for everything of ours about Triton: inside the virtual environment, gone when it goes."""
    return prefix / "triton"


def find_binary(prefix: Path = Path(sys.prefix)) -> Binary:
    return Binary(home(prefix) / "wheel")


def install_binary(binary: Binary, report: Report) -> None:
    """Install the pinned wheel where `binary` points, unless it is there. Whole or not at all."""
    if binary.is_installed:
        return
    report(f"Installing Triton Inference Server ({WHEEL_NAME} {WHEEL_VERSION}, a download of 55 MB)")
    binary.wheel.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.wheel.parent, prefix="wheel-") as scratch:
        staged = Path(scratch) / "wheel"
        _run(_install_command(staged))
        shutil.rmtree(binary.wheel, ignore_errors=True)
        staged.rename(binary.wheel)
    report(f"Installed Triton Inference Server in {binary.wheel}")


def _install_command(target: Path) -> Sequence[str]:
    requirement = f"{WHEEL_NAME}=={WHEEL_VERSION}"
    uv = shutil.which("uv")
    if importlib.util.find_spec("pip") is None and uv is not None:  # an environment made by uv has no pip
        return (
            uv,
            "pip",
            "install",
            "--no-deps",
            "--python",
            sys.executable,
            "--target",
            str(target),
            requirement,
        )
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install")
    return (*pip, "--no-deps", "--only-binary", ":all:", "--target", str(target), requirement)


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise SetupProblem(f"installing {WHEEL_NAME} took longer than {INSTALL_TIMEOUT_S:.0f} s") from None
    except subprocess.CalledProcessError as failure:
        lines = [line for line in failure.stderr.splitlines() if line.startswith(("ERROR", "error"))]
        reason = lines[-1] if lines else f"the installer ended with {failure.returncode}"
        raise SetupProblem(f"cannot install {WHEEL_NAME} {WHEEL_VERSION}: {reason}") from None


def main() -> None:
    """`python -m embedded.binary`: for setting up ahead of the first start."""
    install_binary(find_binary(), lambda line: print(line, flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
