"""How a picture was made, as the one line of text that AUTOMATIC1111's web UI writes into its files and reads back.

Many tools read it: the prompt, `Negative prompt:` on a line of its own, then `Steps: 20, Sampler: Euler a, ...`. Names
that are theirs are spelt as theirs; what only we know stands at the end, where they ignore it. Knows no file format.
"""

import json
from collections.abc import Mapping

from modelcore.diffusion.request import PictureRequest

# Ours: their sampler, and their schedule where it is not the sampler's own.
_SAMPLERS: Mapping[str, tuple[str, str | None]] = {
    "ddim": ("DDIM", None),
    "pndm": ("PLMS", None),
    "euler": ("Euler", None),
    "euler_a": ("Euler a", None),
    "heun": ("Heun", None),
    "dpmpp_2m": ("DPM++ 2M", None),
    "dpmpp_2m_karras": ("DPM++ 2M", "Karras"),
    "dpmpp_sde": ("DPM++ SDE", None),
    "unipc": ("UniPC", None),
    "lcm": ("LCM", None),
    "flow_euler": ("Euler", None),
}
_HASH_LENGTH = 10  # hexadecimal digits, as their short hashes


def parameters_text(request: PictureRequest, seed: int, variation_seed: int | None, model: str, digest: str) -> str:
    negative = f"\nNegative prompt: {request.negative_prompt}" if request.negative_prompt else ""
    facts = _facts(request, seed, variation_seed, model, digest)
    listed = ", ".join(f"{name}: {_quoted(value)}" for name, value in facts.items() if value is not None)
    return f"{request.prompt}{negative}\n{listed}".strip()


def _facts(
    request: PictureRequest, seed: int, variation_seed: int | None, model: str, digest: str
) -> dict[str, str | None]:
    """In their order; None where there is nothing to say."""
    sampler, schedule = _SAMPLERS.get(request.scheduler, (request.scheduler, None))
    is_varied = variation_seed is not None and request.variation_strength > 0
    return {
        "Steps": str(request.steps),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": f"{request.guidance_scale:g}",
        "Seed": str(seed),
        "Size": f"{request.width}x{request.height}",
        "Model hash": digest[:_HASH_LENGTH] or None,
        "Model": model,
        "Variation seed": str(variation_seed) if is_varied else None,
        "Variation seed strength": f"{request.variation_strength:g}" if is_varied else None,
        "Denoising strength": f"{request.strength:g}" if request.init_image is not None else None,
        # They count the layers from the end, we those that are left out.
        "Clip skip": str(request.clip_skip + 1) if request.clip_skip else None,
        "RNG": "CPU",  # theirs is the GPU's where nothing is said
        "Guidance rescale": f"{request.guidance_rescale:g}" if request.guidance_rescale else None,
        "Guidance end": f"{request.guidance_end:g}" if request.guidance_end < 1 else None,
    }


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ",:\n") else value
