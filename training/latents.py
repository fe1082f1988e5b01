"""Scenes as the VAE's latents, encoded once and kept beside the run.

The UNet's training sees each scene several times, with new words and new noise; the VAE costs a third of a step, so
it runs once for each scene. Scenes themselves are not kept: `World` draws the same ones again.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from training.device import best_device, mixed_precision
from training.scene import CANVAS_PX, Scene
from training.tensors import patch_labels, pixels_tensor
from training.world import Sample, World

CELL_PX = 8
CELLS = CANVAS_PX // CELL_PX
_CHUNK = 64  # pictures encoded at once


@dataclass(frozen=True)
class Latents:
    scenes: list[Scene]
    values: Tensor  # (scenes, 4, 16, 16) fp16
    labels: Tensor  # (scenes, 2, 16, 16) uint8: colour and shape of the thing in each cell, 0 for none

    def __len__(self) -> int:
        return len(self.scenes)


def latents_of(world: World, count: int, vae_folder: Path, cache: Path) -> Latents:
    """The first `count` scenes of a world; read from the cache where it holds them."""
    if not cache.exists():
        _write(_encoded(world, count, vae_folder), cache)
    kept = torch.load(cache, weights_only=True)
    scenes = [world.told_scene(index)[0] for index in range(count)]
    return Latents(scenes, kept["values"], kept["labels"])


def load_vae(folder: Path) -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32, low_cpu_mem_usage=False).eval()


def _encoded(world: World, count: int, vae_folder: Path) -> dict[str, Tensor]:
    vae = load_vae(vae_folder).to(best_device())
    chunks = [_encode(vae, list(world.samples(min(_CHUNK, count - start), start))) for start in range(0, count, _CHUNK)]
    values, labels = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    return {"values": values.half(), "labels": labels}


@torch.inference_mode()
def _encode(vae: AutoencoderKL, samples: list[Sample]) -> tuple[Tensor, Tensor]:
    pixels = pixels_tensor([sample.drawing for sample in samples]).to(vae.device) * 2 - 1
    with mixed_precision(vae.device):
        values = vae.encode(pixels).latent_dist.mode()
    labels = np.stack([patch_labels(sample.scene, sample.drawing, CELL_PX) for sample in samples])
    return values.float().cpu(), torch.from_numpy(labels).to(torch.uint8)


def _write(content: dict[str, Tensor], path: Path) -> None:
    """Written beside and renamed, so that a kill never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    torch.save(content, unfinished)
    unfinished.replace(path)
