"""Carry out a plan: make each stale model aside from its source, prove it, put it in place. Imports torch."""

import gc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from export import clip, manifest
from export.components import Component, suffix
from export.configs import write_config, write_ensembles
from export.finishing import Finished, finish
from export.network import Network, export_network
from export.plan import MODEL_FILE, Job, Plan, source_files
from export.progress import Progress
from export.sam2.serving import write_segment_facts
from export.shims import add_shim
from export.staging import staged
from modelcore.family import Family
from modelcore.manifest import weights_name


def carry_out(plan: Plan, folders: Mapping[str, Path], progress: Progress) -> None:
    """From each part's folder. A failure leaves what is already in place, and the next run goes on from there."""
    for job in plan.stale:
        with staged(job.version) as aside:
            made = _make(plan, job, folders[job.component.part], aside, progress)
            manifest.write(aside, job.identity, made.found, _files(aside))
            add_shim(job.version, aside, plan.family, made.model)
            write_config(plan.repository, made.model)
        progress.done(job.name, made.summary)
        gc.collect()  # a network of gigabytes must be gone before the next one comes
    write_ensembles(plan.repository)


def _files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def _make(plan: Plan, job: Job, part: Path, aside: Path, progress: Progress) -> Finished:
    found: dict[str, Any] = {"source_files": source_files(job.component, part)}
    source = part / job.component.folder
    if not job.component.is_network:
        progress.stage(job.name, "writing")
        _write_files(plan.family, job, source, aside)
        return Finished(job.component.model, found, "done")
    progress.stage(job.name, "loading")
    network = _builder(plan.family, job.component)(source)
    progress.stage(job.name, "exporting and comparing with its source")
    errors = export_network(job.name, network, aside / MODEL_FILE)
    progress.stage(job.name, f"finishing for {plan.wish.target} in {plan.wish.precision}")
    finished = finish(plan, job.component, network, aside / MODEL_FILE)
    found |= {"relative_errors": errors} | _describe(network) | finished.found
    summary = "; ".join(filter(None, (f"done, largest relative error {max(errors.values()):.1e}", finished.summary)))
    return Finished(finished.model, found, summary)


def _write_files(family: Family, job: Job, source: Path, aside: Path) -> None:
    if job.component.part != "diffusion":
        _FILE_MAKERS[job.name](source, aside)
    elif job.name == family.name:  # the other pipeline, `<family>_image`, is nothing but its code
        from export.diffusion.pipeline import write_pipeline

        write_pipeline(family, source, weights_name(job.identity), aside)


def _builder(family: Family, component: Component) -> Callable[[Path], Network]:
    if component.part == "clip":
        return _CLIP_BUILDERS[component.model.name]
    if component.part == "sam2":
        from export.sam2 import BUILDERS

        return BUILDERS[component.model.name]
    from export.diffusion import builders

    assert family.diffusion is not None  # a family file with one and not the other is refused
    return builders(family.diffusion.architecture)[suffix(family, component)].build


def _describe(network: Network) -> dict[str, Any]:
    """The graph's open sizes by name, and the shapes that it was compared at."""
    return {
        "symbols": {item.name: {str(axis): name for axis, name in item.symbols.items()} for item in network.inputs},
        "shapes": {
            case: {item.name: list(tensor.shape) for item, tensor in zip(network.inputs, tensors, strict=True)}
            for case, tensors in (*network.cases.items(), *network.cases_by_row.items())
        },
    }


def _write_tokenizer(source: Path, aside: Path) -> None:
    clip.write_tokenizer(source, clip.context_length(clip.load_clip(source)), aside)


_FILE_MAKERS: Mapping[str, Callable[[Path, Path], None]] = {
    "clip_tokenize": _write_tokenizer,
    "clip_preprocess": clip.write_preprocessing,
    "segment": write_segment_facts,
}
_CLIP_BUILDERS: Mapping[str, Callable[[Path], Network]] = {
    "clip_text": lambda folder: clip.text_network(clip.load_clip(folder), clip.real_prompts(folder)),
    "clip_image": lambda folder: clip.image_network(clip.load_clip(folder)),
}
