"""The Dockerfiles, read as text: no Docker engine is needed, and nothing is shown about a build."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
DOCKERFILES = sorted(DEPLOY.glob("*.Dockerfile"))
TRITON = DEPLOY / "triton.Dockerfile"
SHIMS = sorted((PROJECT / "model_repository").glob("*/1/model.py"))

# What NVIDIA's container brings, and what our image adds, by the name it is imported under.
BROUGHT = {"numpy", "triton_python_backend_utils"}
ADDED = {"PIL": "pillow", "diffusers": "diffusers", "tokenizers": "tokenizers", "torch": "torch"}


each_dockerfile = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)


@each_dockerfile
def test_base_image_is_pinned(path: Path) -> None:
    assert all(re.fullmatch(r"\S+:\d+\.\d+\S*", image) for image in _arguments(path, "FROM"))


@each_dockerfile
def test_only_paths_that_exist_are_copied(path: Path) -> None:
    assert [source for source in _sources(path) if not (PROJECT / source).exists()] == []


@each_dockerfile
def test_what_is_copied_is_let_in_by_dockerignore(path: Path) -> None:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {f"!{source}" for source in _sources(path)} <= set(lines)


@each_dockerfile
def test_container_does_not_run_as_root(path: Path) -> None:
    assert _arguments(path, "USER")[-1] not in {"root", "0"}


@each_dockerfile
def test_packages_have_the_versions_of_the_lock_file(path: Path) -> None:
    installs = re.findall(r"pip install[^&]*", path.read_text())
    assert installs
    assert all("--constraint constraints.txt" in line for line in installs)


def test_the_triton_image_has_every_package_that_a_stub_imports() -> None:
    foreign = {name.split(".")[0] for path in _reachable(SHIMS) for name in _imports(path)} - sys.stdlib_module_names
    assert foreign - {"modelcore"} <= BROUGHT | set(ADDED)
    assert set(ADDED.values()) <= set(TRITON.read_text().split())


def test_the_triton_image_tries_every_module_that_a_stub_imports() -> None:
    tried = {module for names in re.findall(r'-c "import ([^"]*)"', TRITON.read_text()) for module in names.split(", ")}
    wanted = {name for path in SHIMS for name in _imports(path) if name.startswith("modelcore.")}
    assert wanted <= tried


def _arguments(path: Path, instruction: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in path.read_text().splitlines() if line.startswith(f"{instruction} ")]


def _sources(path: Path) -> list[str]:
    return [source for arguments in _arguments(path, "COPY") for source in arguments.split()[:-1]]


def _reachable(start: list[Path]) -> set[Path]:
    """The files themselves and every module of modelcore that they import, however far."""
    found: set[Path] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [file for name in _imports(path) if (file := _file_of(name)) is not None]
    return found


def _file_of(module: str) -> Path | None:
    base = PROJECT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    """Full names; `from modelcore import stub` is modelcore.stub."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from [name for name in inner if _file_of(name)] or [node.module]
