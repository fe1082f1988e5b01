"""An exported fp32 graph in int8 or fp16: which networks may be, what it costs in quality, what it gives in speed.

The ways themselves are in int8.py and half.py; docs/decisions/0005-precision.md has the measurements behind the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from export.graph import DATA_SUFFIX, ONE_FILE_BYTES
from export.half import feeding, to_half
from export.half_rehearsal import rehearse_half
from export.int8 import products, to_int8
from export.measuring import Feed, cosine, product_errors, speed_ratio
from export.parity import open_session, relative_error
from export.plan import Precision
from modelcore.errors import SetupProblem

# A product this far off on its own stays in fp32: a few outliers in a row leave its other numbers no steps.
MAX_PRODUCT_ERROR = 0.05
MAX_FP16_ERROR = 0.02


@dataclass(frozen=True)
class Recipe:
    """What a kind of network bears: the largest relative error of its answers in int8, and why it stays in fp32."""

    max_int8_error: float = 0.05
    not_int8: str = ""
    not_fp16: str = ""


_CLIP = Recipe(max_int8_error=0.1)  # compared by their angle: an error of 0.05 left a cosine of 0.998
_CONVOLUTIONS = "its work is convolutions, which integers make slower, or less exact than a picture bears"
_VAE = Recipe(not_int8=_CONVOLUTIONS, not_fp16="Stable Diffusion's VAE overflows fp16, and pictures come out black")
_MASKS = Recipe(not_int8="its work is small, and its scores decide which masks are kept")
RECIPES: Mapping[str, Recipe] = {
    "clip_text": _CLIP,
    "clip_image": _CLIP,
    "text_encoder": _CLIP,
    "text_encoder_2": _CLIP,
    "text_encoder_3": Recipe(max_int8_error=0.1, not_fp16="T5's feed-forward layers overflow fp16"),
    "unet": Recipe(),
    "transformer": Recipe(),
    "vae_encoder": _VAE,
    "vae_decoder": _VAE,
    "sam2_encoder": Recipe(),
    "sam2_prepare": _MASKS,
    "sam2_decoder": _MASKS,
}

# Sums of many squares, and what divides by their root: fp16 ends at 65,504. Range and CumSum count further than its
# integers go, which end at 2,048.
_FP32_OPERATORS = frozenset(
    {
        "LayerNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "RMSNormalization",
        "ReduceMean",
        "ReduceSum",
        "ReduceSumSquare",
        "ReduceL2",
        "LpNormalization",
        "Pow",
        "Sqrt",
        "Reciprocal",
        "Range",
        "CumSum",
    }
)
# What leads to these is an angle, as large as a timestep: 999.5 in fp16 is off by a quarter of a radian.
_OF_ANGLES = frozenset({"Sin", "Cos"})


@dataclass(frozen=True)
class Converted:
    """The file to serve, and what it cost. Errors are the worst of all cases, sizes and speed relative to fp32."""

    path: Path
    precision: Precision
    relative_error: float = 0.0
    cosine: float = 1.0
    size_ratio: float = 1.0
    speed_ratio: float | None = None  # int8 on this CPU; fp16 is for GPUs, and the CPU only imitates it
    kept_fp32: tuple[str, ...] = ()  # products that stayed, by node
    why_fp32: str = ""  # the network as a whole stayed

    @property
    def summary(self) -> str:
        if self.precision == "fp32":
            return f"fp32: {self.why_fp32}" if self.why_fp32 else "fp32"
        speed = f"{self.speed_ratio:.2f} times as fast, " if self.speed_ratio is not None else ""
        cost = f"relative error {self.relative_error:.1e}, cosine {self.cosine:.5f}"
        kept = f", {len(self.kept_fp32)} products kept in fp32" if self.kept_fp32 else ""
        return f"{self.precision}: {speed}{self.size_ratio:.2f} of the size, {cost}{kept}"


def convert(path: Path, precision: Precision, kind: str, cases: Mapping[str, Feed]) -> Converted:
    """Write `<stem>.<precision>.onnx` beside the exported fp32 graph at `path`, run both on `cases`, and compare.

    `kind` is a key of RECIPES: the served model's name without its family's. A kind that stays in fp32 gets its own
    file back, with the reason. Beyond the kind's bound this is a SetupProblem, and nothing is left behind.
    """
    if kind not in RECIPES:
        raise SetupProblem(f"no recipe for {precision} of a {kind}; there are: {', '.join(RECIPES)}")
    recipe = RECIPES[kind]
    reason = {"fp32": "", "fp16": recipe.not_fp16, "int8": recipe.not_int8}[precision]
    if precision == "fp32" or reason:
        return Converted(path, "fp32", why_fp32=reason)
    if precision == "fp16":
        return _convert_to_half(path, kind, cases)
    return _convert_to_int8(path, kind, cases, recipe.max_int8_error)


def _convert_to_half(path: Path, kind: str, cases: Mapping[str, Feed]) -> Converted:
    angles = feeding(onnx.load(path, load_external_data=False).graph, _OF_ANGLES)
    rehearsal, target = path.with_name(f".{path.stem}.rehearsal.onnx"), path.with_name(f"{path.stem}.fp16.onnx")
    for file, change in ((rehearsal, rehearse_half), (target, to_half)):
        model = onnx.load(path)
        change(model, lambda node: node.op_type in _FP32_OPERATORS or node.name in angles)
        _save(model, file)
    del model  # gigabytes, and sessions come next
    try:
        return _checked(Converted(target, "fp16"), path, kind, cases, MAX_FP16_ERROR, rehearsal)
    finally:
        _remove(rehearsal)


def _convert_to_int8(path: Path, kind: str, cases: Mapping[str, Feed], bound: float) -> Converted:
    model = onnx.load(path)
    found = products(model)
    errors = product_errors(path, model, found, _smallest(cases))
    chosen = [product for product in found if errors[product.node] <= MAX_PRODUCT_ERROR]
    kept = tuple(product.node for product in found if product not in chosen)
    if not chosen:
        return Converted(path, "fp32", kept_fp32=kept, why_fp32="no product in it can gain from int8")
    to_int8(model, chosen)
    target = path.with_name(f"{path.stem}.int8.onnx")
    _save(model, target)
    del model  # gigabytes, and sessions come next
    return _checked(Converted(target, "int8", kept_fp32=kept), path, kind, cases, bound)


def _checked(
    made: Converted, path: Path, kind: str, cases: Mapping[str, Feed], bound: float, *rehearsals: Path
) -> Converted:
    """`made` with its measurements; the file is gone again if it, or a rehearsal of it, is beyond the bound."""
    before = open_session(path)
    pairs: list[tuple[Any, Any]] = []
    for file in (*rehearsals, made.path):  # one at a time in memory
        after = open_session(file)
        for feed in cases.values():
            pairs += zip(after.run(None, feed), before.run(None, feed), strict=True)
    error = max(relative_error(got, wanted) for got, wanted in pairs)
    if not error <= bound:
        _remove(made.path)
        raise SetupProblem(
            f"{kind} in {made.precision} differs from fp32 by {error:.1e}; at most {bound:.0e} is accepted for it"
        )
    return replace(
        made,
        relative_error=error,
        cosine=min(cosine(got, wanted) for got, wanted in pairs),
        size_ratio=_size(made.path) / _size(path),
        speed_ratio=speed_ratio(before, after, _smallest(cases)) if made.precision == "int8" else None,
    )


def _smallest(cases: Mapping[str, Feed]) -> Feed:
    return min(cases.values(), key=lambda feed: sum(array.size for array in feed.values()))


def _save(model: onnx.ModelProto, path: Path) -> None:
    """One file, or two where it would be too long for one."""
    _remove(path)
    is_long = sum(len(weight.raw_data) for weight in model.graph.initializer) > ONE_FILE_BYTES
    if is_long:
        onnx.save(model, path, save_as_external_data=True, location=_beside(path).name)
    else:
        onnx.save(model, path)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path, _beside(path)) if file.exists())


def _remove(path: Path) -> None:
    for file in (path, _beside(path)):
        file.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + DATA_SUFFIX)
