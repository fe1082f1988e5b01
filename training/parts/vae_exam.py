"""Measure the VAE in a folder: how near a reconstruction is, and whether the checker still sees the same."""

import math
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from training.bars import CASES, EXAM_SEED
from training.checker import Answer, check
from training.drawing import Pixels
from training.measurement import Measured, average, share
from training.world import Split, World


def measure(folder: Path, split: Split = "held_out", seed: int = EXAM_SEED) -> list[Measured]:
    network = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32, low_cpu_mem_usage=False).eval()
    pictures = [sample.drawing.pixels for sample in World(split, seed).samples(CASES)]
    seen = [reconstruct(network, pixels) for pixels in pictures]
    pairs = list(zip(pictures, seen, strict=True))
    unchanged = sum(told(check(before)) == told(check(after)) for before, after in pairs)
    return [
        average("vae.decibel", [decibel(before, after) for before, after in pairs]),
        share("vae.unchanged", unchanged, len(pairs)),
    ]


@torch.inference_mode()
def reconstruct(network: AutoencoderKL, pixels: Pixels) -> Pixels:
    """There and back through the latent's mode, rounded to bytes as a picture would be."""
    there = pixels_tensor_of(pixels) * 2 - 1
    back = network.decode(network.encode(there).latent_dist.mode()).sample[0]
    rounded = ((back + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return rounded.permute(1, 2, 0).numpy()


def pixels_tensor_of(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def decibel(before: Pixels, after: Pixels) -> float:
    """Peak signal-to-noise ratio of two pictures of bytes."""
    error = np.mean((before.astype(np.float64) - after) ** 2)
    return 10 * math.log10(255**2 / max(error, 1e-3))


def told(answer: Answer) -> tuple:
    """What the checker says, less the exact places."""
    things = sorted((found.colour, str(found.shape), found.size) for found in answer.things)
    return answer.background, things
