"""What a family's clients call: `<family>`, which tells of every step, and `<family>_image`, which answers once.

The networks behind them are in diffusion_models.py. Whatever a request leaves out is the family's own default.
"""

from dataclasses import replace

from modelcore.contract import DataType, EnsembleStep, InstanceGroup, ServedModel, Tensor

IMAGE_SUFFIX = "_image"
# Triton before 25.04 cannot cancel a call from model to model, and no version a call over HTTP: hence these two inputs.
CANCEL_TOKEN, CANCEL = "cancel_token", "cancel"

_ON_CPU = InstanceGroup(kind="KIND_CPU")
_WHY_ONE = {"instances": "one, since requests share their steps only inside one process; the work is the networks'"}
_WHY_LIGHT = {"instances": "one is enough: it waits for many answers at once"}


def _optional(name: str, data_type: DataType, about: str, dims: tuple[int, ...] = (1,)) -> Tensor:
    return Tensor(name, data_type, dims, about, optional=True)


_INPUTS = (
    Tensor("prompt", DataType.BYTES, (1,), "what to paint, UTF-8; (word:1.3) weighs"),
    _optional("negative_prompt", DataType.BYTES, "what to keep away from"),
    _optional("steps", DataType.INT32, "how many times the noise is predicted"),
    _optional("guidance_scale", DataType.FP32, "how much the prompt counts; 1 and less: no guidance, half the work"),
    _optional("seed", DataType.INT64, "of the first picture, the next ones count up; -1: any, and the answer tells"),
    _optional("width", DataType.INT32, "pixels"),
    _optional("height", DataType.INT32, "pixels"),
    _optional("scheduler", DataType.BYTES, "by name; a wrong one is answered with the list"),
    _optional("num_images", DataType.INT32, "pictures of this request"),
    _optional("init_image", DataType.BYTES, "an encoded picture to start from: PNG, JPEG or WebP"),
    _optional("mask_image", DataType.BYTES, "an encoded picture, white where init_image is painted anew"),
    _optional("strength", DataType.FP32, "how far to go from init_image: 0 to 1"),
    _optional("keep_unmasked", DataType.BOOL, "put the picture's own pixels back wherever the mask is black"),
    _optional("outpaint", DataType.INT32, "pixels to add to init_image: left, top, right, bottom", (4,)),
    _optional("variation_seed", DataType.INT64, "the seed to walk towards"),
    _optional("variation_strength", DataType.FP32, "how far to walk: 0 to 1"),
    _optional("guidance_rescale", DataType.FP32, "against the glare of strong guidance: 0 to 1"),
    _optional("guidance_end", DataType.FP32, "the share of the steps with guidance: 0 to 1"),
    _optional("clip_skip", DataType.INT32, "layers of the text encoder to leave out: 0 or 1"),
    _optional("preview_every", DataType.INT32, "a preview every so many steps; 0: none"),
    _optional("output_format", DataType.BYTES, "png, jpeg or webp"),
    _optional("output_quality", DataType.INT32, "of a jpeg or webp: 0 is the smallest file, 100 the best picture"),
    _optional(CANCEL_TOKEN, DataType.BYTES, "a name for this request, of your own, by which another may cancel it"),
    _optional(CANCEL, DataType.BYTES, "paint nothing; cancel the request that has this cancel_token"),
)


def _painted(dims: tuple[int, ...]) -> tuple[Tensor, ...]:
    return (
        Tensor("image", DataType.BYTES, dims, "the finished picture, encoded"),
        Tensor("seed", DataType.INT64, dims, "which paints this very picture again"),
        Tensor("info", DataType.BYTES, dims, "JSON: parameters, model, warnings, timings"),
    )


_STEP_OUTPUTS = (
    Tensor("index", DataType.INT32, (1,), "which of the request's pictures this event is about, from 0"),
    Tensor("step", DataType.INT32, (1,), "steps done"),
    Tensor("steps", DataType.INT32, (1,), "steps in all"),
    Tensor("eta_s", DataType.FP32, (1,), "seconds until the last step, by the pace of the latest"),
    Tensor("preview", DataType.BYTES, (1,), "a small encoded picture of how far it is"),
)


def pipeline_models(family: str) -> tuple[ServedModel, ServedModel]:
    """Of any architecture: what differs is in the files beside the code."""
    streamed = ServedModel(
        name=family,
        backend="python",
        about="Words to pictures, telling of every step. An event holds the outputs that it has something for.",
        inputs=_INPUTS,
        outputs=(*_STEP_OUTPUTS, *_painted((1,))),
        max_batch_size=0,
        decoupled=True,
        instances=_ON_CPU,
        why=_WHY_ONE,
    )
    answered = replace(
        streamed,
        name=f"{family}{IMAGE_SUFFIX}",
        about=f"The same as {family} in one answer, for clients without streams and over HTTP.",
        inputs=tuple(tensor for tensor in _INPUTS if tensor.name != "preview_every"),
        outputs=_painted((-1,)),
        decoupled=False,
        why=_WHY_LIGHT,
    )
    return streamed, answered


def pipeline_probe(family: str) -> ServedModel:
    """Both pipelines' processes, walked as if they were an ensemble: for who looks after them. Never served.

    It cancels what nobody has asked for, and is told if a network was found dead since. The networks are left alone: on
    a large family even the smallest picture would be work.
    """
    return ServedModel(
        name=family,
        backend="ensemble",
        about="",
        inputs=(Tensor("prompt", DataType.BYTES, (1,), ""), Tensor(CANCEL, DataType.BYTES, (1,), "")),
        outputs=(),
        max_batch_size=0,
        steps=(EnsembleStep(f"{family}{IMAGE_SUFFIX}", {"prompt": "prompt", CANCEL: CANCEL}, {}),),
    )
