"""What a GPU host is told to do with an exported model: its gpu profile, for each target. Knows no GPU."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from export.plan import Precision, Target
from export.profiles import ProfileShapes, ShapeRange
from modelcore.contract import GpuProfile, InstanceGroup, ServedModel, Warmup

PLAN_FILE = "model.plan"
# Outside the model repository, which containers mount read-only; written by the server itself.
ENGINE_CACHE = "/var/cache/triptych/tensorrt"
_WORKSPACE_BYTES = 4 * 1024**3

# HEURISTIC: sizes vary, and trying every convolution algorithm anew for each size would cost seconds each time. As a
# plain parameter: given to the accelerator "cuda" it is silently ignored (triton-inference-server/server#8808).
_CUDA_PARAMETERS = {"cudnn_conv_algo_search": "1"}
_WHY_TENSORRT = "engines are built at the first start on this kind of GPU, for these sizes, and kept"


def gpu_profile(
    model: ServedModel, target: Target, precision: Precision, graph_file: str, shapes: ProfileShapes
) -> ServedModel:
    """`model` with the profile that serves `graph_file`, or the plan made from it; pbtxt.render(..., "gpu") writes it.

    `shapes` are those of one family, so the result is that family's own, and not for the committed configurations.
    For onnx-cpu there is nothing to tell.
    """
    if target == "onnx-cpu":
        return model
    count = model.gpu.instances.count if model.gpu else 1
    profile = GpuProfile(
        instances=InstanceGroup("KIND_GPU", count),
        file=PLAN_FILE if target == "tensorrt" else graph_file,
        backend="tensorrt" if target == "tensorrt" else "",
        warmups=tuple(_warmups(model, shapes)),
    )
    if target == "onnx-cuda":
        profile = replace(profile, parameters=_CUDA_PARAMETERS)
    if target == "onnx-trt":
        parameters = _tensorrt_parameters(model.name, precision, shapes)
        profile = replace(profile, accelerators=("tensorrt",), accelerator_parameters=parameters, why=_WHY_TENSORRT)
    return replace(model, gpu=profile)


def _tensorrt_parameters(name: str, precision: Precision, shapes: ProfileShapes) -> dict[str, str]:
    """Keys of NVIDIA's onnxruntime backend for ONNX Runtime's TensorRT provider."""
    cache = f"{ENGINE_CACHE}/{name}"
    return {
        "precision_mode": "FP16" if precision == "fp16" else "FP32",
        "max_workspace_size_bytes": str(_WORKSPACE_BYTES),
        "trt_layer_norm_fp32_fallback": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": cache,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": cache,
        "trt_profile_min_shapes": _written(shapes, lambda shape: shape.least),
        "trt_profile_opt_shapes": _written(shapes, lambda shape: shape.usual),
        "trt_profile_max_shapes": _written(shapes, lambda shape: shape.greatest),
    }


def _written(shapes: ProfileShapes, end: Callable[[ShapeRange], tuple[int, ...]]) -> str:
    """input:2x3,other:2x77"""
    return ",".join(f"{name}:{'x'.join(map(str, end(shape)))}" for name, shape in shapes.items())


def _warmups(model: ServedModel, shapes: ProfileShapes) -> Iterator[Warmup]:
    """The usual call loads the kernels that clients would wait for; the largest takes its memory while nobody waits."""
    usual = {name: shape.usual for name, shape in shapes.items()}
    greatest = {name: shape.greatest for name, shape in shapes.items()}
    yield _warmup("usual", model, usual)
    if greatest != usual:
        yield _warmup("largest", model, greatest)


def _warmup(name: str, model: ServedModel, shapes: Mapping[str, tuple[int, ...]]) -> Warmup:
    if not model.max_batch_size:
        return Warmup(name, 1, dict(shapes))
    return Warmup(name, _first(shapes.values())[0], {key: shape[1:] for key, shape in shapes.items()})


def _first(shapes: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return next(iter(shapes))
