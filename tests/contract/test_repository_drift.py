"""The committed model repository is what the catalog renders, and its shims are shims."""

import ast
import subprocess
import sys
from pathlib import Path

from modelcore.pbtxt import parse
from modelcore.repository import drifted, write

PROJECT = Path(__file__).parents[2]
REPOSITORY = PROJECT / "model_repository"
SOURCES = [
    path
    for folder in ("embedded", "export", "modelcore", "orchestrator", "training", "triptych", "model_repository")
    for path in (PROJECT / folder).rglob("*.py")
]


def test_committed_configs_are_what_the_catalog_renders() -> None:
    assert drifted(REPOSITORY) == []


def test_every_config_is_valid_protobuf() -> None:
    for path in REPOSITORY.rglob("*.pbtxt"):
        assert parse(path.read_text()).name == path.relative_to(REPOSITORY).parts[0]


def test_a_changed_config_is_named_as_drift(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "clip_text" / "config.pbtxt").write_text("name: 'other'")
    assert drifted(tmp_path) == ["clip_text/config.pbtxt: differs from modelcore/catalog.py"]


def test_a_config_of_a_model_that_is_gone_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.pbtxt").write_text("")
    assert drifted(tmp_path) == ["old/config.pbtxt: no such model in modelcore/catalog.py"]


def test_only_shims_and_the_backend_import_pb_utils() -> None:
    importers = {path.name for path in SOURCES if "triton_python_backend_utils" in _imports(path)}
    assert importers == {"model.py"}


def test_shims_stay_thin() -> None:
    for path in REPOSITORY.rglob("model.py"):
        code = [line for line in path.read_text().splitlines() if line.strip()]
        assert len(code) <= 35, path


def test_import_rules_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([linter], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def _imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    direct = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return direct | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
