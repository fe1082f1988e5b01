"""Carry out a plan: load each source once, make each stale model, write its manifest last. Imports torch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from transformers import CLIPModel

from export import clip, manifest
from export.network import export_network
from export.plan import FILES, MODEL_FILE, Plan


@dataclass(frozen=True)
class Progress:
    model: str
    stage: str


def export_clip(plan: Plan) -> Iterator[Progress]:
    """One event per model and stage."""
    yield Progress("clip", "loading")
    loaded = clip.load_clip(plan.source)
    for name in plan.stale:
        yield Progress(name, "exporting")
        version = plan.version(name)
        version.mkdir(parents=True, exist_ok=True)
        errors = _MAKERS[name](loaded, plan.source, version)
        manifest.write(version, plan.made_from, FILES[name], errors)
        worst = f", largest relative error {max(errors.values()):.1e}" if errors else ""
        yield Progress(name, f"done{worst}")


def _make_tokenizer(loaded: CLIPModel, source: Path, version: Path) -> dict[str, float]:
    clip.write_tokenizer(source, clip.context_length(loaded), version)
    return {}


def _make_preprocessing(loaded: CLIPModel, source: Path, version: Path) -> dict[str, float]:
    clip.write_preprocessing(source, version)
    return {}


def _make_text(loaded: CLIPModel, source: Path, version: Path) -> dict[str, float]:
    return export_network("clip_text", clip.text_network(loaded), version / MODEL_FILE)


def _make_image(loaded: CLIPModel, source: Path, version: Path) -> dict[str, float]:
    return export_network("clip_image", clip.image_network(loaded), version / MODEL_FILE)


_MAKERS: dict[str, Callable[[CLIPModel, Path, Path], dict[str, float]]] = {
    "clip_tokenize": _make_tokenizer,
    "clip_preprocess": _make_preprocessing,
    "clip_text": _make_text,
    "clip_image": _make_image,
}
