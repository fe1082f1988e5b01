"""A graph to a TensorRT plan, kept until its graph, GPU, TensorRT or sizes change. Has never met a GPU: docs/gpu.md.

The types in the graph are the types of the engine (strong typing, the only kind that TensorRT 11 has), so fp16 is
decided in half.py and nowhere else.
"""

import hashlib
import importlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from export.gpu import Gpu, find_gpu
from export.profiles import ProfileShapes
from modelcore.errors import SetupProblem

_DATA_SUFFIX = ".data"
_KEY_SUFFIX = ".json"


@dataclass(frozen=True)
class Engine:
    path: Path
    key: str
    reused: bool


@dataclass(frozen=True)
class Toolchain:
    """What engines are built with, and for."""

    tensorrt: Any  # the module, which has no types
    gpu: Gpu

    @property
    def version(self) -> str:
        return str(self.tensorrt.__version__)


def find_toolchain() -> Toolchain:
    """One clear line if the package or the GPU is missing: ask before an export of minutes, not after."""
    try:
        module = importlib.import_module("tensorrt")
    except ImportError as error:
        raise SetupProblem("engines need the tensorrt package, on a machine with an NVIDIA GPU") from error
    return Toolchain(module, find_gpu())


def build_engine(
    graph_file: Path, plan_file: Path, shapes: ProfileShapes, timing_caches: Path, toolchain: Toolchain
) -> Engine:
    """Build `plan_file` unless it is there already under the same key. `timing_caches` is a folder for all models.

    The plan is written aside and renamed, its key last, so that a plan with a key is a whole one.
    """
    key = engine_key(graph_file, shapes, toolchain)
    if _is_current(plan_file, key):
        return Engine(plan_file, key, reused=True)
    timing_cache = timing_caches / f"{toolchain.gpu.architecture}-{toolchain.version}.timing"
    plan = _build(toolchain.tensorrt, graph_file, shapes, timing_cache)
    _write(plan_file, plan)
    note = {"key": key, "plan": hashlib.sha256(plan).hexdigest()}
    _write(_key_file(plan_file), json.dumps(note, indent=2).encode() + b"\n")
    return Engine(plan_file, key, reused=False)


def engine_key(graph_file: Path, shapes: ProfileShapes, toolchain: Toolchain) -> str:
    """Changes with everything that a plan depends on. The GPU's name too: two of one architecture differ in size."""
    parts = {
        "graph": [_digest(file) for file in _files(graph_file)],
        "gpu": asdict(toolchain.gpu),
        "tensorrt": toolchain.version,
        "shapes": {name: asdict(shape) for name, shape in shapes.items()},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _build(tensorrt: Any, graph_file: Path, shapes: ProfileShapes, timing_cache: Path) -> bytes:
    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    # TensorRT 10 must be told; 11 takes the flag and does so anyway.
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph_file)):  # by file: external data lies beside it
        raise SetupProblem(f"TensorRT cannot read {graph_file.name}: {_first_error(parser)}")
    config = builder.create_builder_config()
    config.add_optimization_profile(_profile(builder, shapes))
    known = timing_cache.read_bytes() if timing_cache.exists() else b""
    config.set_timing_cache(config.create_timing_cache(known), False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise SetupProblem(f"TensorRT could not build an engine of {graph_file.name}; its log above says why")
    _write(timing_cache, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _profile(builder: Any, shapes: ProfileShapes) -> Any:
    profile = builder.create_optimization_profile()
    for name, shape in shapes.items():
        profile.set_shape(name, shape.least, shape.usual, shape.greatest)
    return profile


def _first_error(parser: Any) -> str:
    return str(parser.get_error(0).desc()) if parser.num_errors else "no reason given"


def _is_current(plan_file: Path, key: str) -> bool:
    try:
        note = json.loads(_key_file(plan_file).read_bytes())
        return bool(note == {"key": key, "plan": _digest(plan_file)})
    except (OSError, ValueError):
        return False


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)


def _files(graph_file: Path) -> list[Path]:
    beside = graph_file.with_name(graph_file.name + _DATA_SUFFIX)
    return [graph_file, beside] if beside.exists() else [graph_file]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key_file(plan_file: Path) -> Path:
    return plan_file.with_name(plan_file.name + _KEY_SUFFIX)
