"""Networks of the small random families, each exported once in a session, by whichever test asks first."""

from functools import cache
from pathlib import Path

from export.diffusion import builders
from export.network import export_network
from modelcore.diffusion_models import diffusion_models
from modelcore.family import Architecture
from modelcore.pbtxt import render
from tests.small_diffusion import write_random_family


def suffixes(architecture: Architecture) -> list[str]:
    return [model.name.removeprefix("any_") for model in diffusion_models("any", architecture)]


@cache
def random_family(base: Path, architecture: Architecture) -> Path:
    return write_random_family(base / "sources" / architecture, architecture)


@cache
def exported_graph(base: Path, architecture: Architecture, suffix: str) -> Path:
    """In `base/repository`, with its configuration; the family has its architecture's name."""
    name = f"{architecture}_{suffix}"
    version = base / "repository" / name / "1"
    version.mkdir(parents=True)
    (model,) = (model for model in diffusion_models(architecture, architecture) if model.name == name)
    (version.parent / "config.pbtxt").write_text(render(model))
    part = builders(architecture)[suffix]
    network = part.build(random_family(base, architecture) / part.folder)
    export_network(name, network, version / "model.onnx")
    return version / "model.onnx"
