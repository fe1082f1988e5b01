"""manifest.json beside the files of an exported model: are they still what export wrote? Writes nothing.

Reading a manifest is shared by export and by the stubs. The embedded onnxruntime backend stands alone and has the
same check of its own, in ort_manifest.py; one test runs both against the same cases.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelcore.errors import SetupProblem

MANIFEST_FILE = "manifest.json"
MANIFEST_KIND = "triptych export"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """None where there is none of ours: a manifest.json of somebody else is no business of this one."""
    path = folder / MANIFEST_FILE
    if not path.exists():
        return None
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise SetupProblem(f"{_short(path)} is not JSON: export the model again") from error
    ours = isinstance(manifest, dict) and manifest.get("kind") == MANIFEST_KIND
    return manifest if ours else None


def verify(folder: Path) -> bool:
    """True when every file is the one its manifest names, False without a manifest; else one clear line."""
    manifest = read_manifest(folder)
    if manifest is None:
        return False
    for name, wanted in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise SetupProblem(f"{_short(path)} is missing, and {MANIFEST_FILE} lists it: export the model again")
        if sha256(path) != wanted:
            raise SetupProblem(
                f"{_short(path)} is not the file that export wrote: its sha256 differs from {MANIFEST_FILE}; "
                "export the model again"
            )
    return True


def weights_name(manifest: Mapping[str, Any]) -> str:
    """One name for the weights that a model was made from, wherever they came from, in whatever form it is served."""
    origin = manifest.get("source") or manifest["source_files"]
    return hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()


def _short(path: Path) -> str:
    """model/version/file: an error may travel to a client, which must see no path of this machine."""
    return "/".join(path.parts[-3:])
