"""Networks of real size with random weights, exported in a process of their own so that its memory can be told."""

import dataclasses
import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel

from export import clip
from export.diffusion import autoencoder, denoiser, text
from export.network import Network, export_network

Written = torch.nn.Module


@dataclasses.dataclass(frozen=True)
class Measured:
    seconds: float
    peak_bytes: int
    size_bytes: int
    files: tuple[str, ...]
    worst_error: float


def measure(name: str, folder: Path) -> Measured:
    """Write the weights, forget them, and export from the folder as a user does."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_measure_here, name, folder).result()


def _measure_here(name: str, folder: Path) -> Measured:
    make, build = NETWORKS[name]
    torch.manual_seed(0)
    make().save_pretrained(folder / "source")
    version = folder / "exported"
    version.mkdir()
    started = time.monotonic()
    errors = export_network(name, build(folder / "source"), version / "model.onnx")
    files = sorted(version.iterdir())
    return Measured(
        seconds=time.monotonic() - started,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        size_bytes=sum(file.stat().st_size for file in files),
        files=tuple(file.name for file in files),
        worst_error=max(errors.values()),
    )


def _sd14_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(sample_size=64, cross_attention_dim=768)  # the rest of SD1.4 are the class's defaults


def _sd14_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        sample_size=512,
    )


def _clip_l() -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    )


def _clip_b32() -> CLIPModel:
    return CLIPModel(CLIPConfig())  # the classes' defaults are ViT-B/32


NETWORKS: dict[str, tuple[Callable[[], Written], Callable[[Path], Network]]] = {
    "sd14_unet": (_sd14_unet, denoiser.unet),
    "sd14_vae_encoder": (_sd14_vae, autoencoder.encoder),
    "sd14_vae_decoder": (_sd14_vae, autoencoder.decoder),
    "sd14_text_encoder": (_clip_l, text.clip_of_sd),
    "clip_text": (_clip_b32, lambda folder: clip.text_network(clip.load_clip(folder))),
    "clip_image": (_clip_b32, lambda folder: clip.image_network(clip.load_clip(folder))),
}
