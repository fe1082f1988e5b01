"""Pictures as diffusers' own pipelines paint them: what ours are held against. Nothing here is ours but the names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from modelcore.family import Architecture

# As diffusers' documentation names the classes behind the names everybody uses.
REFERENCE_SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpmpp_sde": ("DPMSolverSinglestepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "flow_euler": ("FlowMatchEulerDiscreteScheduler", {}),
}
_PIPELINES: Mapping[Architecture, str] = {
    "sd": "StableDiffusion{}Pipeline",
    "sdxl": "StableDiffusionXL{}Pipeline",
    "sd3": "StableDiffusion3{}Pipeline",
}
_TASKS = {"text": "", "picture": "Img2Img", "inpaint": "Inpaint"}


@dataclass(frozen=True)
class Wanted:
    """What the pipeline is called with. One picture for each seed, from a generator of its own."""

    scheduler: str
    texts: Sequence[Mapping[str, NDArray[np.float32]]]  # as embeddings: negative, positive
    size: tuple[int, int]  # width, height
    seeds: Sequence[int] = (7,)
    steps: int = 6
    guidance_scale: float = 4.0
    picture: NDArray[np.uint8] | None = None
    mask: NDArray[np.float32] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)  # strength, guidance_rescale, callbacks


def reference_latents(
    folder: Path, architecture: Architecture, scheduler_config: Mapping[str, Any], wanted: Wanted
) -> NDArray[np.float32]:
    """(pictures, channels, h, w), before the decoder."""
    task = "text" if wanted.picture is None else "picture" if wanted.mask is None else "inpaint"
    pipeline = _pipeline(folder, architecture, task, scheduler_config, wanted.scheduler)
    with torch.inference_mode():
        answer = pipeline(**_arguments(pipeline, task, wanted))
    latents: NDArray[np.float32] = answer.images.numpy()
    return latents


def decoded(decode: Callable[[Any], Any], latents: NDArray[np.float32]) -> NDArray[np.float32]:
    """0 to 1."""
    picture: NDArray[np.float32] = np.clip(decode(latents) / 2 + 0.5, 0, 1)
    return picture


def psnr(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Against the range these pictures really have: small random decoders paint nearly grey ones."""
    mean_square = float(np.square(one.astype(np.float64) - other).mean())
    return float(10 * np.log10(np.ptp(other) ** 2 / max(mean_square, 1e-20)))


def _pipeline(
    folder: Path, architecture: Architecture, task: str, scheduler_config: Mapping[str, Any], scheduler: str
) -> Any:
    denoiser = (
        {"transformer": _load(diffusers.SD3Transformer2DModel, folder / "transformer")}
        if architecture == "sd3"
        else {"unet": _load(diffusers.UNet2DConditionModel, folder / "unet")}
    )
    first = diffusers.FlowMatchEulerDiscreteScheduler if architecture == "sd3" else diffusers.DDIMScheduler
    pipeline = getattr(diffusers, _PIPELINES[architecture].format(_TASKS[task]))(
        vae=_load(diffusers.AutoencoderKL, folder / "vae"),
        scheduler=first.from_config(dict(scheduler_config)),
        **denoiser,
        **_NO_TEXT[architecture],
    )
    name, settings = REFERENCE_SCHEDULERS[scheduler]
    pipeline.scheduler = getattr(diffusers, name).from_config(pipeline.scheduler.config, **settings)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


_NO_TEXT: Mapping[Architecture, Mapping[str, Any]] = {
    "sd": {
        **dict.fromkeys(("text_encoder", "tokenizer", "safety_checker", "feature_extractor")),
        "requires_safety_checker": False,
    },
    "sdxl": dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")),
    "sd3": dict.fromkeys(
        ("text_encoder", "text_encoder_2", "text_encoder_3", "tokenizer", "tokenizer_2", "tokenizer_3")
    ),
}


@cache
def _load(kind: Any, folder: Path) -> Any:
    return kind.from_pretrained(folder, low_cpu_mem_usage=False, torch_dtype=torch.float32).eval()


def _arguments(pipeline: Any, task: str, wanted: Wanted) -> dict[str, Any]:
    count = len(wanted.seeds)
    given: dict[str, Any] = {
        "num_inference_steps": wanted.steps,
        "guidance_scale": wanted.guidance_scale,
        "generator": [torch.Generator("cpu").manual_seed(seed) for seed in wanted.seeds],
        "output_type": "latent",
        **_embeddings(wanted.texts, count),
        **wanted.more,
    }
    if wanted.picture is not None:
        given["image"] = [Image.fromarray(wanted.picture)] * count
        given.setdefault("strength", 1.0)
    if wanted.mask is not None:
        given["mask_image"] = [Image.fromarray((wanted.mask * 255).astype(np.uint8))] * count
    if task != "picture" or "transformer" in pipeline.components:  # sd's and sdxl's take the picture's own
        given["width"], given["height"] = wanted.size
    return given


def _embeddings(texts: Sequence[Mapping[str, NDArray[np.float32]]], count: int) -> dict[str, torch.Tensor]:
    """For each picture the same."""
    names = {"encoder_hidden_states": "prompt_embeds", "pooled": "pooled_prompt_embeds"}
    return {
        prefix + given: torch.from_numpy(np.stack([text[name]] * count))
        for prefix, text in zip(("negative_", ""), texts, strict=True)
        for name, given in names.items()
        if name in text
    }
