"""What manifest.json says of an exported model: what it was made from, with what, how close it is, and its hashes."""

import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modelcore.errors import SetupProblem
from modelcore.manifest import MANIFEST_FILE, MANIFEST_KIND, read_manifest, sha256, verify

Identity = Mapping[str, Any]

# Raised by hand when the same weights begin to give other files: every model is then made anew.
EXPORTER_VERSION = 2
_TOOLS = ("diffusers", "onnx", "onnxruntime", "onnxscript", "torch", "transformers")


def file_hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    return {name: sha256(folder / name) for name in sorted(names)}


def source_hashes(folder: Path) -> dict[str, str]:
    """Of everything that decides the result: weights, and every description beside them."""
    if not folder.is_dir():
        raise SetupProblem(f"no such folder: {folder}")
    names = [path.name for path in folder.iterdir() if path.suffix in {".safetensors", ".json", ".txt"}]
    return file_hashes(folder, names)


def tool_versions() -> dict[str, str]:
    return {tool: importlib.metadata.version(tool) for tool in _TOOLS}


def write(version: Path, identity: Identity, found: Mapping[str, Any], files: Iterable[str]) -> None:
    """Last of all, so that a folder with a manifest is a whole one."""
    manifest = {"kind": MANIFEST_KIND, **identity, **found, "files": file_hashes(version, files)}
    (version / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def is_current(version: Path, identity: Identity) -> bool:
    """True when the folder holds what this export would make: same origin, and the files still as they were."""
    try:
        manifest = read_manifest(version)
        same_origin = manifest is not None and all(manifest.get(key) == value for key, value in identity.items())
        return same_origin and verify(version)
    except SetupProblem:
        return False
