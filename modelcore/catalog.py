"""Every served model, declared once: tensors, batching, instances, and why.

`make configs` renders this into model_repository/, readiness compares the live server with it. Sizes that differ
between families are -1, so that one configuration fits all of them.
"""

from modelcore.contract import (
    Architecture,
    DataType,
    DynamicBatching,
    EnsembleStep,
    GpuProfile,
    InstanceGroup,
    ServedModel,
    Tensor,
)
from modelcore.diffusion_models import diffusion_models
from modelcore.pipeline_models import pipeline_models, pipeline_probe
from modelcore.sam2_models import SAM2_MODELS, SEGMENT, SEGMENT_PROBE

CLIP_MAX_BATCH = 64

_ON_CPU = InstanceGroup(kind="KIND_CPU")
# CUDA kernels take any shape at once. A TensorRT engine is built at its first call and would keep clients waiting
# for minutes; engines come with export, which builds them ahead.
_ON_GPU = GpuProfile(instances=InstanceGroup(kind="KIND_GPU"))
_WHY_CPU = {"instances": "plain Python work on bytes: a GPU would add nothing but a copy"}
_WHY_CACHE = {"response_cache": "the same words and the same picture come again and again; the answer never changes"}

_TEXT = Tensor("text", DataType.BYTES, (1,), "UTF-8 text")
_IMAGE = Tensor("image", DataType.BYTES, (1,), "an encoded picture: PNG, JPEG or WebP")
_EMBEDDING = Tensor("embedding", DataType.FP32, (-1,), "unit length; text and pictures share the space")
_INPUT_IDS = Tensor("input_ids", DataType.INT64, (-1,), "token ids, padded to a multiple of 16 or the context length")
_PIXEL_VALUES = Tensor("pixel_values", DataType.FP32, (3, -1, -1), "resized, cropped and normalised, channels first")
_LOGIT_SCALE = Tensor("logit_scale", DataType.FP32, (1,), "cosines times this, through a softmax, are confidences")
_TOKEN_COUNT = Tensor("token_count", DataType.INT32, (1,), "tokens read, start and end marks included")
_WEIGHTS = Tensor("weights", DataType.BYTES, (1,), "which CLIP it is: only what has the same name may be compared")
_TRUNCATED = Tensor("truncated", DataType.BOOL, (1,), "true when the text was longer than the context and was cut")

_CLIP_TOKENIZE = ServedModel(
    name="clip_tokenize",
    backend="python",
    about="Text to CLIP token ids.",
    inputs=(_TEXT,),
    outputs=(_INPUT_IDS, _TOKEN_COUNT, _TRUNCATED, _WEIGHTS),
    max_batch_size=CLIP_MAX_BATCH,
    batching=DynamicBatching(),
    instances=_ON_CPU,
    why=_WHY_CPU,
)
_CLIP_PREPROCESS = ServedModel(
    name="clip_preprocess",
    backend="python",
    about="Encoded picture to CLIP's input: decode, resize, crop, normalise.",
    inputs=(_IMAGE,),
    outputs=(_PIXEL_VALUES, _WEIGHTS),
    max_batch_size=CLIP_MAX_BATCH,
    instances=_ON_CPU,
    # No dynamic batching: pictures are decoded one by one anyhow, and a call that held many clients' pictures would
    # look like a hang to whoever waits for its first answer.
    why=_WHY_CPU,
)
_CLIP_TEXT = ServedModel(
    name="clip_text",
    backend="onnxruntime",
    about="CLIP's text tower with its projection, scaled to unit length.",
    inputs=(_INPUT_IDS,),
    outputs=(_EMBEDDING, _LOGIT_SCALE),
    max_batch_size=CLIP_MAX_BATCH,
    batching=DynamicBatching(),
    instances=InstanceGroup(),
    gpu=_ON_GPU,
)
_CLIP_IMAGE = ServedModel(
    name="clip_image",
    backend="onnxruntime",
    about="CLIP's picture tower with its projection, scaled to unit length.",
    inputs=(_PIXEL_VALUES,),
    outputs=(_EMBEDDING,),
    max_batch_size=CLIP_MAX_BATCH,
    batching=DynamicBatching(),
    instances=InstanceGroup(),
    gpu=_ON_GPU,
)
_CLIP_TEXT_STRING = ServedModel(
    name="clip_text_string",
    backend="ensemble",
    about="Text to CLIP embedding.",
    inputs=(_TEXT,),
    outputs=(_EMBEDDING, _LOGIT_SCALE, _TOKEN_COUNT, _TRUNCATED, _WEIGHTS),
    max_batch_size=CLIP_MAX_BATCH,
    response_cache=True,
    why=_WHY_CACHE,
    steps=(
        EnsembleStep(
            "clip_tokenize",
            {"text": "text"},
            {name: name for name in ("input_ids", "token_count", "truncated", "weights")},
        ),
        EnsembleStep(
            "clip_text",
            {"input_ids": "input_ids"},
            {"embedding": "embedding", "logit_scale": "logit_scale"},
        ),
    ),
)
_CLIP_IMAGE_BYTES = ServedModel(
    name="clip_image_bytes",
    backend="ensemble",
    about="Encoded picture to CLIP embedding.",
    inputs=(_IMAGE,),
    outputs=(_EMBEDDING, _WEIGHTS),
    max_batch_size=CLIP_MAX_BATCH,
    response_cache=True,
    why=_WHY_CACHE,
    steps=(
        EnsembleStep("clip_preprocess", {"image": "image"}, {"pixel_values": "pixel_values", "weights": "weights"}),
        EnsembleStep("clip_image", {"pixel_values": "pixel_values"}, {"embedding": "embedding"}),
    ),
)

# Families whose configurations lie in this repository; others come with `triptych export`.
COMMITTED_FAMILIES: tuple[tuple[str, Architecture], ...] = (("demo", "sd"),)


def family_models(family: str, architecture: Architecture) -> tuple[ServedModel, ...]:
    """All that one family takes to paint: its networks and the pipelines in front of them."""
    return (*diffusion_models(family, architecture), *pipeline_models(family))


CATALOG: tuple[ServedModel, ...] = (
    _CLIP_TOKENIZE,
    _CLIP_PREPROCESS,
    _CLIP_TEXT,
    _CLIP_IMAGE,
    _CLIP_TEXT_STRING,
    _CLIP_IMAGE_BYTES,
    *SAM2_MODELS,
    SEGMENT,
    *(model for family in COMMITTED_FAMILIES for model in family_models(*family)),
)

# For who looks after the processes behind the models, as ensembles are for those of CLIP.
PROBES: tuple[ServedModel, ...] = (*(pipeline_probe(family) for family, _ in COMMITTED_FAMILIES), SEGMENT_PROBE)


def served_model(name: str) -> ServedModel:
    return next(model for model in CATALOG if model.name == name)
