"""Is this folder what a network can be loaded from? Looks at names and headers, before anything is loaded.

safetensors only: a pickle runs code when it is read, whatever its name ends in.
"""

import json
from pathlib import Path
from typing import Any

from modelcore.errors import SetupProblem

CONFIG_FILE = "config.json"
_HEADER_LENGTH_BYTES = 8
# A zip (torch.save since 1.6), and a pickle of protocol 2 to 5 (torch.save before).
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PICKLE_SUFFIXES = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}


def check_network_folder(folder: Path, classes: frozenset[str]) -> None:
    """Raise one clear line unless `folder` holds whole safetensors of one of these classes."""
    if not folder.is_dir():
        raise SetupProblem(f"no such folder: {folder}")
    _check_class(folder, classes)
    for path in _weight_files(folder):
        check_safetensors(path)


def check_safetensors(path: Path) -> None:
    """The header must be readable and its tensors must fill the file exactly."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_HEADER_LENGTH_BYTES)
        if start.startswith(_PICKLE_STARTS):
            raise SetupProblem(f"{path} is a pickle under a safetensors name: it is not loaded")
        header_bytes = int.from_bytes(start, "little")
        if len(start) < _HEADER_LENGTH_BYTES or header_bytes > size - _HEADER_LENGTH_BYTES:
            raise SetupProblem(f"{path} is no safetensors file, or is cut off in its header ({size} bytes)")
        header = _header(path, file.read(header_bytes))
    ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
    wanted = _HEADER_LENGTH_BYTES + header_bytes + max(ends, default=0)
    if wanted != size:
        raise SetupProblem(f"{path} is cut off or damaged: its header tells of {wanted} bytes, there are {size}")


def _header(path: Path, text: bytes) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads(text)
        _ = [tensor["data_offsets"][1] + 0 for name, tensor in header.items() if name != "__metadata__"]
    except (ValueError, AttributeError, KeyError, IndexError, TypeError) as error:
        raise SetupProblem(f"{path} is no safetensors file: its header cannot be read") from error
    return header


def _check_class(folder: Path, classes: frozenset[str]) -> None:
    config = _read_json(folder / CONFIG_FILE)
    # diffusers writes one name, transformers a list.
    found = [config["_class_name"]] if "_class_name" in config else config.get("architectures") or []
    if not classes.intersection(found):
        wanted, given = " or ".join(sorted(classes)), ", ".join(map(str, found)) or "no class at all"
        raise SetupProblem(f"{folder / CONFIG_FILE} describes {given}; {wanted} is needed here")


def _weight_files(folder: Path) -> list[Path]:
    whole = sorted(path for path in folder.glob("*.safetensors") if _is_plain_variant(path))
    indexes = [path for path in sorted(folder.glob("*.safetensors.index.json")) if _is_plain_variant(path)]
    if indexes:
        return _shards(indexes[0])
    if whole:
        return whole
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLE_SUFFIXES)
    if pickles:
        raise SetupProblem(
            f"{folder} has its weights only as a pickle ({pickles[0]}), which is not loaded: "
            "convert them to safetensors, or choose a revision that has them"
        )
    raise SetupProblem(f"{folder} has no weights: no .safetensors file is there")


def _is_plain_variant(path: Path) -> bool:
    """model.safetensors and model-00001-of-00002.safetensors; not model.fp16.safetensors."""
    return "." not in path.name.partition(".safetensors")[0]


def _shards(index: Path) -> list[Path]:
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise SetupProblem(f"{index} lists no weights")
    paths = []
    for name in sorted(set(map(str, weight_map.values()))):
        path = index.parent / name
        if Path(name).name != name or not path.is_file():
            raise SetupProblem(f"{path} is missing: {index.name} lists it")
        paths.append(path)
    return paths


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise SetupProblem(f"{path} is missing") from error
    except ValueError as error:
        raise SetupProblem(f"{path} is not JSON: it is damaged or cut off") from error
    if not isinstance(content, dict):
        raise SetupProblem(f"{path} is not a JSON object")
    return content
