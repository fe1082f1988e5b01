"""Fit the matrix that previews use: from a VAE's latents to the mean colour under each latent cell, by least squares.

    python -m training.latent_colours families/demo/vae

prints the [preview] table for the family's family.toml, and how near it comes on pictures it was not fitted to.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch.nn import functional

from modelcore.preview_colours import PreviewColours
from training.tensors import pixels_tensor
from training.world import Split, World

PICTURES, EXAM_PICTURES = 256, 64
SEED = 1

Cells = tuple[NDArray[np.float64], NDArray[np.float64]]  # latents (cells, channels), colours (cells, 3), -1 to 1


def fit(cells: Cells) -> PreviewColours:
    latents, colours = cells
    known = np.concatenate([latents, np.ones((len(latents), 1))], axis=1)
    answer = np.linalg.lstsq(known, colours, rcond=None)[0].round(4)
    *matrix, bias = [(float(red), float(green), float(blue)) for red, green, blue in answer]
    return PreviewColours(tuple(matrix), bias)


def decibel(colours: PreviewColours, cells: Cells) -> float:
    """Peak signal-to-noise ratio of the previewed cells against the true ones."""
    latents, truth = cells
    previewed = np.clip(latents @ np.array(colours.latent_to_rgb) + colours.bias, -1, 1)
    return float(10 * math.log10(4 / np.square(previewed - truth).mean()))


@torch.inference_mode()
def cells(vae: AutoencoderKL, split: Split, pictures: int) -> Cells:
    """Latents as the denoiser has them."""
    latents, colours = [], []
    for batch in pixels_tensor([sample.drawing for sample in World(split, SEED).samples(pictures)]).split(32):
        mean = vae.encode(batch * 2 - 1).latent_dist.mean
        mean = (mean - (vae.config["shift_factor"] or 0)) * vae.config["scaling_factor"]
        latents.append(_rows(mean))
        colours.append(_rows(functional.avg_pool2d(batch * 2 - 1, batch.shape[-1] // mean.shape[-1])))
    return np.concatenate(latents), np.concatenate(colours)


def as_toml(colours: PreviewColours) -> str:
    rows = "".join(f"    {list(row)},\n" for row in colours.latent_to_rgb)
    return f"[preview]\nlatent_to_rgb = [\n{rows}]\nbias = {list(colours.bias)}\n"


def _rows(tensor: torch.Tensor) -> NDArray[np.float64]:
    """(rows, channels, h, w) -> (cells, channels)."""
    return tensor.permute(0, 2, 3, 1).reshape(-1, tensor.shape[1]).double().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.latent_colours", description=__doc__.splitlines()[0])
    parser.add_argument("vae", type=Path, help="folder of the VAE, such as families/demo/vae")
    vae = AutoencoderKL.from_pretrained(parser.parse_args().vae, low_cpu_mem_usage=False).float().eval()
    colours = fit(cells(vae, "train", PICTURES))
    reached = decibel(colours, cells(vae, "tune", EXAM_PICTURES))
    sys.stdout.write(as_toml(colours))
    sys.stderr.write(f"{reached:.1f} dB on {EXAM_PICTURES} pictures it was not fitted to\n")


if __name__ == "__main__":
    main()
