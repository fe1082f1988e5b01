"""Who may import whom inside the orchestrator, read from the source."""

import ast
from pathlib import Path

import pytest

import orchestrator

ROOT = Path(orchestrator.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
WEB = {"fastapi", "starlette", "uvicorn"}
KNOWS_HTTP = {"__main__", "app", "dependencies", "router", "edge"}
SPEAKS_GRPC = {"triton", "upstream_status"}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def named(path: Path) -> set[str]:
    return {*path.relative_to(ROOT).parent.parts, path.stem}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_edge_knows_the_web_framework(path: Path) -> None:
    assert named(path) & KNOWS_HTTP or not packages(path) & WEB


def test_only_the_client_knows_grpc() -> None:
    assert {path.stem for path in MODULES if "grpc" in packages(path)} == SPEAKS_GRPC


def test_only_the_process_and_the_pages_about_it_import_the_app() -> None:
    assert {path.stem for path in MODULES if "orchestrator.app" in imports(path)} == {"__main__", "documents"}


def test_only_the_settings_could_read_the_environment() -> None:
    reads = {"os.environ", "os.getenv"}
    assert [path for path in MODULES if any(word in path.read_text(encoding="utf-8") for word in reads)] == []
