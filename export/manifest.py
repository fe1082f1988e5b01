"""manifest.json beside each exported network: what it was made from, with what, and how close it is."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MANIFEST_FILE = "manifest.json"
_TOOLS = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")


def file_hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(names)}


def source_hashes(folder: Path) -> dict[str, str]:
    """Of everything that decides the result: weights and every JSON beside them."""
    names = [path.name for path in folder.iterdir() if path.suffix in {".safetensors", ".json"}]
    return file_hashes(folder, names)


def describe(source: dict[str, str], opset: int, licence: str) -> dict[str, Any]:
    """What must be equal for an earlier export to be kept."""
    versions = {tool: importlib.metadata.version(tool) for tool in _TOOLS}
    return {"source": source, "versions": versions, "opset": opset, "licence": licence}


def write(version: Path, made_from: dict[str, Any], file: str, errors: dict[str, float]) -> None:
    """Last of all, so that a folder with a manifest is a whole one."""
    manifest = {**made_from, "files": file_hashes(version, [file]), "relative_errors": errors}
    temporary = version / f"{MANIFEST_FILE}.part"
    temporary.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    temporary.rename(version / MANIFEST_FILE)


def is_current(version: Path, made_from: dict[str, Any]) -> bool:
    """True when the folder holds what this export would make: same origin, and the files still as they were."""
    try:
        manifest = json.loads((version / MANIFEST_FILE).read_text())
        unchanged = file_hashes(version, manifest["files"]) == manifest["files"]
    except (OSError, ValueError, KeyError):
        return False
    return unchanged and all(manifest.get(key) == value for key, value in made_from.items())
