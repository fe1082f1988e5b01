"""What a caller wants painted, once every number of it has been checked. Knows no network and no server."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelcore.contract import Limit
from modelcore.diffusion.canvas import Canvas, read_canvas
from modelcore.diffusion.fields import Fields
from modelcore.diffusion.networks import LatentFacts
from modelcore.diffusion.scheduler_names import check_scheduler
from modelcore.diffusion.sizes import check_work, sizes_of
from modelcore.errors import InvalidInput
from modelcore.family import Diffusion
from modelcore.text.limits import TextLimits
from modelcore.text.weighting import read_weights

OUTPUT_FORMATS = ("png", "jpeg", "webp")
GUIDANCE_MAX = 30.0
STRENGTH_OF_A_PICTURE = 0.8  # diffusers' defaults: keep something of it,
STRENGTH_OF_A_MASK = 1.0  # or nothing of what is painted over
_SEED_MAX = 2**63 - 1
ANY_SEED = -1
# Of those we choose ourselves: AUTOMATIC1111's tools and JavaScript's numbers can hold them.
_CHOSEN_SEEDS = 2**32
_NAME_LIMITS = TextLimits(max_characters=64, max_bytes=256)


@dataclass(frozen=True, eq=False)
class PictureRequest:
    prompt: str
    negative_prompt: str
    steps: int
    guidance_scale: float  # 1 and less: no guidance
    seed: int  # of the first picture; picture i has seed + i
    width: int
    height: int
    scheduler: str  # a name of SCHEDULERS
    num_images: int
    init_image: NDArray[np.uint8] | None  # (height, width, 3)
    mask_image: NDArray[np.float32] | None  # (height, width), 0 to 1: 1 = paint here
    keep_unmasked: bool  # the picture's own pixels where mask_image is 0, not what the decoder makes of them
    strength: float  # how far to go from init_image
    variation_seed: int | None
    variation_strength: float  # how far to walk from the first noise of `seed` to that of `variation_seed`
    guidance_rescale: float
    guidance_end: float  # the share of the steps with guidance: 1 = all
    clip_skip: int  # layers of the text encoder left out: 0 or 1
    preview_every: int  # steps; 0 = no previews
    output_format: str  # png, jpeg, webp
    output_quality: int | None  # of the file, 0 to 100; None: what suits its format


def parse_request(
    arrays: Mapping[str, NDArray[Any]],
    diffusion: Diffusion,
    latents: LatentFacts,
    text_limits: TextLimits = TextLimits(),  # noqa: B008, it is frozen
) -> PictureRequest:
    """Named tensors as Triton gives them; whatever is missing is the family's default."""
    fields, defaults, limits = Fields(arrays), diffusion.defaults, diffusion.limits
    prompt = _prompt(fields, text_limits)
    negative_prompt = _words(fields, "negative_prompt", text_limits)
    canvas = read_canvas(fields, sizes_of(diffusion, latents), defaults)
    steps = _integer(fields, limits.steps, defaults.steps)
    num_images = _integer(fields, limits.pictures, 1)
    check_work(diffusion, width=canvas.width, height=canvas.height, steps=steps, num_images=num_images)
    variation_seed, variation_strength = _variation(fields)
    return PictureRequest(
        prompt=prompt,
        negative_prompt=negative_prompt,
        steps=steps,
        guidance_scale=_number(fields, "guidance_scale", defaults.guidance_scale, most=GUIDANCE_MAX),
        seed=_seed(fields, "seed"),
        width=canvas.width,
        height=canvas.height,
        scheduler=_scheduler(fields, diffusion),
        num_images=num_images,
        init_image=canvas.picture,
        mask_image=canvas.mask,
        keep_unmasked=_keep_unmasked(fields, canvas),
        strength=_strength(fields, canvas),
        variation_seed=variation_seed,
        variation_strength=variation_strength,
        guidance_rescale=_number(fields, "guidance_rescale", 0.0),
        guidance_end=_number(fields, "guidance_end", 1.0),
        clip_skip=_clip_skip(fields, diffusion),
        preview_every=_integer(fields, Limit("preview_every", 0, limits.steps.maximum), 0),
        output_format=_output_format(fields),
        output_quality=_output_quality(fields),
    )


def _prompt(fields: Fields, limits: TextLimits) -> str:
    prompt = _words(fields, "prompt", limits)
    if not read_weights(prompt, "prompt").text.strip():
        raise InvalidInput("prompt must not be empty: say what to paint", field="prompt")
    return prompt


def _words(fields: Fields, name: str, limits: TextLimits) -> str:
    text = fields.text(name, limits) or ""
    read_weights(text, name)  # refuses weights that are none
    return text


def _name(fields: Fields, name: str, default: str) -> str:
    text = fields.text(name, _NAME_LIMITS)
    return default if text is None else text


def _scheduler(fields: Fields, diffusion: Diffusion) -> str:
    name = _name(fields, "scheduler", diffusion.defaults.scheduler)
    check_scheduler(name, diffusion.architecture)
    return name


def _output_format(fields: Fields) -> str:
    name = _name(fields, "output_format", OUTPUT_FORMATS[0])
    if name not in OUTPUT_FORMATS:
        known = ", ".join(OUTPUT_FORMATS)
        raise InvalidInput(f"output_format must be one of {known}: {name!r}", field="output_format")
    return name


def _output_quality(fields: Fields) -> int | None:
    quality = fields.integer("output_quality")
    if quality is None:
        return None
    if _output_format(fields) == "png":
        raise InvalidInput(
            "output_quality is for jpeg and webp: a png keeps every pixel as it is", field="output_quality"
        )
    return Limit("output_quality", 0, 100).check(quality)


def _integer(fields: Fields, limit: Limit, default: int) -> int:
    value = fields.integer(limit.name)
    return default if value is None else limit.check(value)


def _number(fields: Fields, name: str, default: float, *, most: float = 1.0) -> float:
    value = fields.number(name)
    if value is None:
        return default
    if not 0 <= value <= most:
        raise InvalidInput(f"{name} must be between 0 and {most:g}: {value:g}", field=name)
    return value


def _clip_skip(fields: Fields, diffusion: Diffusion) -> int:
    """Only sd's text encoder gives away what it thought a layer earlier; the others always speak from there."""
    if diffusion.architecture == "sd":
        return _integer(fields, Limit("clip_skip", 0, 1), 0)
    if fields.integer("clip_skip"):
        architecture = diffusion.architecture
        raise InvalidInput(f"clip_skip must be 0 for this family ({architecture})", field="clip_skip")
    return 0


def _keep_unmasked(fields: Fields, canvas: Canvas) -> bool:
    wanted = fields.flag("keep_unmasked")
    if wanted and canvas.mask is None:
        raise InvalidInput("keep_unmasked goes with mask_image or outpaint", field="keep_unmasked")
    return wanted


def _strength(fields: Fields, canvas: Canvas) -> float:
    """Without a picture to start from it has no effect, but it must be a strength."""
    strength = _number(fields, "strength", STRENGTH_OF_A_PICTURE if canvas.mask is None else STRENGTH_OF_A_MASK)
    if strength == 0:
        raise InvalidInput("strength must be more than 0: 0 would change nothing", field="strength")
    return strength


def _seed(fields: Fields, name: str) -> int:
    seed = _integer(fields, Limit(name, ANY_SEED, _SEED_MAX), ANY_SEED)
    return secrets.randbelow(_CHOSEN_SEEDS) if seed == ANY_SEED else seed


def _variation(fields: Fields) -> tuple[int | None, float]:
    strength = _number(fields, "variation_strength", 0.0)
    if "variation_seed" in fields and "variation_strength" not in fields:
        raise InvalidInput(
            "variation_seed goes with variation_strength, the share of the way to it: 0.1 is a little",
            field="variation_strength",
        )
    seed = _seed(fields, "variation_seed")
    return (seed, strength) if strength > 0 else (None, 0.0)
