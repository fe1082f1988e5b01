"""What of a family must be exported anew. Looks at files and hashes only, so that asking costs no import of torch."""

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from export import manifest
from export.components import Component, choose
from export.shims import shim_source
from modelcore.errors import SetupProblem
from modelcore.family import Family, HubSource, Part
from modelcore.manifest import read_manifest, sha256, verify
from modelcore.pbtxt import render

Target = Literal["onnx-cpu", "onnx-cuda", "onnx-trt", "tensorrt"]
Precision = Literal["fp32", "fp16", "int8"]

OPSET = 20
MODEL_FILE = "model.onnx"
VERSION = "1"


@dataclass(frozen=True)
class Wish:
    """What was asked for. No parts means all of them."""

    target: Target = "onnx-cpu"
    precision: Precision = "fp32"
    parts: tuple[str, ...] = ()
    keep_others: bool = False


@dataclass(frozen=True)
class Job:
    """One model to make, and what its manifest will say it was made from."""

    component: Component
    version: Path
    identity: manifest.Identity

    @property
    def name(self) -> str:
        return self.component.model.name


@dataclass(frozen=True)
class Plan:
    family: Family
    repository: Path
    wish: Wish
    stale: tuple[Job, ...]
    current: tuple[Job, ...]
    kept: tuple[Job, ...]


def plan_family(family: Family, repository: Path, wish: Wish) -> Plan:
    _refuse_contradiction(wish)
    sorted_jobs: dict[str, list[Job]] = {"stale": [], "current": [], "kept": []}
    for job in _jobs(family, repository, wish):
        sorted_jobs[_state(job, wish)].append(job)
    return Plan(family, repository, wish, **{state: tuple(jobs) for state, jobs in sorted_jobs.items()})


def _jobs(family: Family, repository: Path, wish: Wish) -> Iterator[Job]:
    hashes = functools.cache(manifest.source_hashes)  # four models come from one CLIP
    for component in choose(family, wish.parts):
        part = family.part(component.part)
        identity = (
            _identity(part, component, hashes)
            | _family_files(family, component)
            | {
                "exporter": manifest.EXPORTER_VERSION,
                "family": family.name,
                "licence": part.licence,
                "opset": OPSET,
                "versions": manifest.tool_versions(),
            }
        )
        if component.is_network:
            identity |= {"precision": wish.precision, "target": wish.target} | _engine(wish)
        yield Job(component, repository / component.model.name / VERSION, identity)


def _identity(part: Part, component: Component, hashes: Callable[[Path], dict[str, str]]) -> dict[str, Any]:
    """A commit of the hub says which files they are, so that they need not even be here; a folder says nothing."""
    if isinstance(part.source, HubSource):
        source = {"hub": part.source.repository, "revision": part.source.revision}
        return {"source": source | {"folder": "/".join(filter(None, (part.subfolder, component.folder)))}}
    return {"source_files": source_files(component, part.source / part.subfolder, hashes)}


def source_files(
    component: Component, part: Path, hashes: Callable[[Path], dict[str, str]] = manifest.source_hashes
) -> dict[str, str]:
    """Every file that decides the result, with its hash."""
    if component.classes:
        return hashes(part / component.folder)
    return {f"{folder}/{name}": value for folder in component.folders for name, value in hashes(part / folder).items()}


def _family_files(family: Family, component: Component) -> dict[str, Any]:
    """A pipeline also serves the family's own numbers, by code and with a configuration that are copied from ours."""
    if component.part != "diffusion" or component.is_network:
        return {}
    files = {"family_file": family.file, "shim": shim_source(family, component.model)}
    config = hashlib.sha256(render(component.model).encode()).hexdigest()
    return {name: sha256(path) for name, path in files.items()} | {"config": config}


def _engine(wish: Wish) -> dict[str, Any]:
    """An engine is for one kind of GPU and one TensorRT. Asked first of all, not after minutes of export."""
    if wish.target != "tensorrt":
        return {}
    from export.tensorrt import find_toolchain

    toolchain = find_toolchain()
    return {"engine": {"tensorrt": toolchain.version, "gpu": asdict(toolchain.gpu)}}


def _state(job: Job, wish: Wish) -> Literal["stale", "current", "kept"]:
    is_configured = (job.version.parent / "config.pbtxt").exists()
    if is_configured and manifest.is_current(job.version, job.identity):
        return "current"
    return "kept" if wish.keep_others and _is_somebody_elses(job) else "stale"


def _is_somebody_elses(job: Job) -> bool:
    """Made whole, on purpose, from another family or in another form."""
    try:
        found = read_manifest(job.version)
        chosen = [key for key in ("family", "precision", "target") if key in job.identity]
        return found is not None and any(found.get(key) != job.identity[key] for key in chosen) and verify(job.version)
    except SetupProblem:
        return False


def _refuse_contradiction(wish: Wish) -> None:
    if wish.precision == "int8" and wish.target != "onnx-cpu":
        raise SetupProblem(f"int8 is for --target onnx-cpu; {wish.target} takes fp32 or fp16")
    if wish.precision == "fp16" and wish.target == "onnx-cpu":
        raise SetupProblem("fp16 is for GPU targets (onnx-cuda, onnx-trt, tensorrt); onnx-cpu takes fp32 or int8")
