"""From a proven fp32 graph to what its target serves: its precision, its engine, and the gpu profile that names them.

Whatever the precision, the file that is served is model.onnx: one committed configuration fits all of them.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from export.components import Component, suffix
from export.graph import DATA_SUFFIX
from export.network import Network
from export.plan import MODEL_FILE, Plan, Precision
from export.precision import convert
from export.profiles import AxisRange, profile_shapes
from export.targets import PLAN_FILE, gpu_profile
from export.tensorrt import build_engine, find_toolchain
from modelcore.contract import ServedModel
from modelcore.family import SIZE_STEP_PX, Diffusion, Family

# Of one picture: its earlier masks, its prompts (the points of an automatic mask come 64 at a time), their points.
_SAM2_AXES = {"masks": AxisRange(1, 1, 64), "prompts": AxisRange(1, 64, 256), "points": AxisRange(1, 2, 16)}
# One CLIP text, or in sd3 CLIP's and T5's after each other; a long prompt comes in several pieces.
_TEXT_LENGTH = AxisRange(1, 77, 512)
_DENOISERS = {"unet", "transformer"}


@dataclass(frozen=True)
class Finished:
    model: ServedModel
    found: dict[str, Any]  # for the manifest
    summary: str


def finish(plan: Plan, component: Component, network: Network, path: Path) -> Finished:
    """`path` is the fp32 graph, and afterwards the one to serve."""
    kind = suffix(plan.family, component)
    feeds = {
        case: {item.name: tensor.numpy() for item, tensor in zip(network.inputs, tensors, strict=True)}
        for case, tensors in network.cases.items()
    }
    converted = convert(path, plan.wish.precision, kind, feeds)
    if converted.path != path:
        take_place(converted.path, path)
    cost = {key: value for key, value in asdict(converted).items() if key != "path"}
    return Finished(
        model=_for_target(plan, component, network, path, converted.precision),
        found={"conversion": cost},
        summary="" if plan.wish.precision == "fp32" else converted.summary,
    )


def _for_target(plan: Plan, component: Component, network: Network, path: Path, precision: Precision) -> ServedModel:
    """`precision` is the one that came about: a VAE that stays in fp32 must not be told to run in fp16."""
    wish, model = plan.wish, component.model
    if wish.target == "onnx-cpu":
        return model
    shapes = profile_shapes(path, model, axis_ranges(plan.family, component, network))
    if wish.target == "tensorrt":
        build_engine(path, path.with_name(PLAN_FILE), shapes, _timing_caches(), find_toolchain())
    return gpu_profile(model, wish.target, precision, MODEL_FILE, shapes)


def axis_ranges(family: Family, component: Component, network: Network) -> Mapping[str, AxisRange]:
    """By symbol. What nothing here knows has the sizes it was tried at, which for most is one size."""
    tried: dict[str, list[int]] = {}
    for tensors in network.cases.values():
        for item, tensor in zip(network.inputs, tensors, strict=True):
            for axis, symbol in item.symbols.items():
                tried.setdefault(symbol, []).append(tensor.shape[axis])
    tried.pop("batch", None)  # the model's own limit says that
    ranges = {symbol: AxisRange(min(sizes), max(sizes), max(sizes)) for symbol, sizes in tried.items()}
    return ranges | {symbol: known for symbol, known in _known(family, component).items() if symbol in ranges}


def _known(family: Family, component: Component) -> Mapping[str, AxisRange]:
    if component.part == "sam2":
        return _SAM2_AXES
    if component.part == "diffusion" and family.diffusion is not None:
        length = {"length": _TEXT_LENGTH} if suffix(family, component) in _DENOISERS else {}
        return _picture_axes(family.diffusion) | length
    return {}


def _picture_axes(diffusion: Diffusion) -> dict[str, AxisRange]:
    limits, defaults = diffusion.limits, diffusion.defaults
    return {
        "height": AxisRange(limits.height.minimum, defaults.height, limits.height.maximum),
        "width": AxisRange(limits.width.minimum, defaults.width, limits.width.maximum),
        "latent_height": _latent(limits.height.minimum, defaults.height, limits.height.maximum),
        "latent_width": _latent(limits.width.minimum, defaults.width, limits.width.maximum),
    }


def _latent(*sizes_px: int) -> AxisRange:
    least, usual, greatest = (size_px // SIZE_STEP_PX for size_px in sizes_px)
    return AxisRange(least, usual, greatest)


def take_place(made: Path, path: Path) -> None:
    """Rename a graph, and its data if it has them: a graph names the file of its data inside."""
    data, made_data = path.with_name(path.name + DATA_SUFFIX), made.with_name(made.name + DATA_SUFFIX)
    data.unlink(missing_ok=True)
    if made_data.exists():
        graph = onnx.load(made, load_external_data=False)
        for weight in graph.graph.initializer:
            for entry in weight.external_data:
                entry.value = data.name if entry.key == "location" else entry.value
        onnx.save(graph, made)
        made_data.rename(data)
    made.rename(path)


def _timing_caches() -> Path:
    """Shared by every repository of this user: what one engine's build has measured, another's need not."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triptych" / "tensorrt"
