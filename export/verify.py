"""A whole model repository against its manifests: for servers that check nothing themselves.

NVIDIA's native backends load whatever lies there, so this is a step before their container starts.
"""

from collections.abc import Iterator
from pathlib import Path

from modelcore.errors import SetupProblem
from modelcore.manifest import read_manifest, verify

_WEIGHTS = ("*.onnx*", "*.plan", "*.safetensors")


def verify_repository(repository: Path) -> tuple[int, list[str]]:
    """How many versions are what export wrote, and one line for each that is not."""
    if not repository.is_dir():
        raise SetupProblem(f"no such model repository: {repository}")
    verified, problems = 0, []
    for version in sorted(_versions(repository)):
        try:
            verified += verify(version)
            problems += [f"{version / name} is in no manifest" for name in _unlisted(version)]
        except SetupProblem as problem:
            problems.append(problem.detail)
    return verified, problems


def _versions(repository: Path) -> Iterator[Path]:
    return (path for path in repository.glob("*/[0-9]*") if path.is_dir())


def _unlisted(version: Path) -> list[str]:
    listed = (read_manifest(version) or {"files": {}})["files"]
    found = sorted({path.name for pattern in _WEIGHTS for path in version.glob(pattern)})
    return [name for name in found if name not in listed]
