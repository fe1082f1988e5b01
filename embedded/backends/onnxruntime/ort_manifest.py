"""manifest.json beside a graph: is the graph still what Triptych's export wrote?

A repository without such a manifest is served as it is. The same check as modelcore.manifest, written again because
this folder stands alone; one test runs both against the same cases.
"""

import hashlib
import json
from pathlib import Path

from ort_signature import ConfigMismatch

_MANIFEST_FILE = "manifest.json"
_KIND = "triptych export"


def verify(version_folder: Path, graph: Path) -> None:
    """Refuse a graph, or data of a graph, that differs from its manifest or that it does not know."""
    files = _listed_files(version_folder / _MANIFEST_FILE)
    if files is None:
        return
    name = graph.relative_to(version_folder).as_posix()
    if name not in files:
        raise ConfigMismatch(f"'{name}' is not in {_MANIFEST_FILE} beside it: export the model again")
    for listed, wanted in files.items():
        path = version_folder / listed
        if not path.is_file():
            raise ConfigMismatch(f"'{listed}' is missing, and {_MANIFEST_FILE} lists it: export the model again")
        if _sha256(path) != wanted:
            raise ConfigMismatch(
                f"'{listed}' is not the file that export wrote: its sha256 differs from {_MANIFEST_FILE}; "
                "export the model again"
            )


def _listed_files(path: Path) -> dict[str, str] | None:
    if not path.exists():
        return None
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError:
        raise ConfigMismatch(f"{_MANIFEST_FILE} is not JSON: export the model again") from None
    if not isinstance(manifest, dict) or manifest.get("kind") != _KIND:
        return None  # somebody else's manifest.json
    return dict(manifest["files"])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
