"""Requests, texts and small families for tests of the arithmetic of a picture, and the plainest loop that paints."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import SD3Transformer2DModel, UNet2DConditionModel
from numpy.typing import NDArray

from modelcore.diffusion.conditioning import Conditioning
from modelcore.diffusion.networks import LatentFacts, Networks
from modelcore.diffusion.request import PictureRequest
from modelcore.diffusion.row import Row
from modelcore.diffusion.schedulers import Schedulers
from modelcore.diffusion.tasks import make_rows
from modelcore.family import Architecture
from tests.small_diffusion import write_random_family
from tests.torch_networks import torch_latent_facts, torch_networks

SIZE_PX = 32
TOKENS = 11
SD_CONFIG: Mapping[str, Any] = {  # CompVis/stable-diffusion-v1-4's
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
SD3_CONFIG: Mapping[str, Any] = {"num_train_timesteps": 1000, "shift": 3.0}
CONFIGS: Mapping[Architecture, Mapping[str, Any]] = {"sd": SD_CONFIG, "sdxl": SD_CONFIG, "sd3": SD3_CONFIG}

_LOUDER = 12.0  # times: what an untrained denoiser says is so faint that a wrong guidance would hardly show
_TEXT_SIZES: Mapping[Architecture, tuple[int, int]] = {"sd": (24, 0), "sdxl": (56, 20), "sd3": (64, 40)}  # of pooled


class SmallFamily:
    """With all that painting with it takes."""

    def __init__(self, folder: Path, architecture: Architecture, config: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.architecture = architecture
        self.config = config or CONFIGS[architecture]
        self.networks: Networks = torch_networks(folder, architecture)
        self.facts: LatentFacts = torch_latent_facts(folder, architecture)
        self.schedulers = Schedulers(self.config, architecture)
        self.texts = random_texts(architecture)  # negative, positive

    def rows(self, **changes: Any) -> list[Row]:
        negative, positive = self.texts
        return make_rows(
            picture_request(**changes),
            Conditioning(positive),
            Conditioning(negative),
            networks=self.networks,
            schedulers=self.schedulers,
            facts=self.facts,
        )

    def latents(self, **changes: Any) -> NDArray[np.float32]:
        """(pictures, channels, h, w), each painted alone."""
        return np.stack([painted(row, self.networks) for row in self.rows(**changes)])


def small_family(folder: Path, architecture: Architecture, *, denoiser_channels: int | None = None) -> SmallFamily:
    write_random_family(folder, architecture)
    if denoiser_channels is not None:
        _widen(folder / "unet", denoiser_channels)
    _louden(folder, architecture)
    return SmallFamily(folder, architecture)


def painted(row: Row, networks: Networks) -> NDArray[np.float32]:
    while not row.is_done:
        row.advance(networks.denoise(row.inputs()))
    return row.latents


def picture_request(**changes: Any) -> PictureRequest:
    plain: dict[str, Any] = {
        "prompt": "a red circle",
        "negative_prompt": "",
        "steps": 6,
        "guidance_scale": 4.0,
        "seed": 7,
        "width": SIZE_PX,
        "height": SIZE_PX,
        "scheduler": "ddim",
        "num_images": 1,
        "init_image": None,
        "mask_image": None,
        "keep_unmasked": False,
        "strength": 1.0,
        "variation_seed": None,
        "variation_strength": 0.0,
        "guidance_rescale": 0.0,
        "guidance_end": 1.0,
        "clip_skip": 0,
        "preview_every": 0,
        "output_format": "png",
        "output_quality": None,
    }
    return PictureRequest(**plain | changes)


def random_texts(architecture: Architecture, seed: int = 0) -> tuple[dict[str, NDArray[np.float32]], ...]:
    rng = np.random.default_rng(seed)
    width, pooled = _TEXT_SIZES[architecture]
    texts = []
    for _ in range(2):
        text = {"encoder_hidden_states": rng.standard_normal((TOKENS, width)).astype(np.float32)}
        if pooled:
            text["pooled"] = rng.standard_normal(pooled).astype(np.float32)
        if architecture == "sdxl":
            text["time_ids"] = np.array([SIZE_PX, SIZE_PX, 0, 0, SIZE_PX, SIZE_PX], dtype=np.float32)
        texts.append(text)
    return tuple(texts)


def random_picture(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)


def box_mask() -> NDArray[np.float32]:
    """With edges inside latent cells, and one soft side."""
    mask = np.zeros((SIZE_PX, SIZE_PX), dtype=np.float32)
    mask[7:25, 5:21] = 1.0
    mask[7:25, 21:24] = 0.6
    mask[7:25, 24:27] = 0.4
    return mask


def _widen(folder: Path, channels: int) -> None:
    config = UNet2DConditionModel.load_config(folder) | {"in_channels": channels}
    shutil.rmtree(folder)
    torch.manual_seed(1)
    UNet2DConditionModel.from_config(config).save_pretrained(folder)


@torch.no_grad()
def _louden(folder: Path, architecture: Architecture) -> None:
    if architecture == "sd3":
        kind, part, last = SD3Transformer2DModel, folder / "transformer", "proj_out"
    else:
        kind, part, last = UNet2DConditionModel, folder / "unet", "conv_out"
    denoiser = kind.from_pretrained(part, low_cpu_mem_usage=False)
    for parameter in getattr(denoiser, last).parameters():
        parameter.mul_(_LOUDER)
    denoiser.save_pretrained(part)
