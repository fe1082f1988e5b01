"""int8 against fp32 on this CPU, and what fp16 would weigh: speed, size and error of each, in one run.

    python -m bench.precision

Random networks: a CLIP picture tower of ViT-B/32's size, and a small UNet of Stable Diffusion's kind. Random weights
have no outliers and no meaning, so the errors show that the arithmetic is right, not what a picture would lose.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPConfig, CLIPModel

from export.clip import image_network
from export.graph import GraphInput, GraphOutput
from export.measuring import Feed
from export.network import Network, export_network
from export.precision import convert

_SEED = 0
_CHANNELS, _WORD_SIZE = 4, 128
_LATENT = {0: "batch", 2: "height", 3: "width"}


def main() -> int:
    parser = argparse.ArgumentParser(description="int8 and fp16 against fp32")
    parser.parse_args()
    torch.manual_seed(_SEED)
    for kind, network in (("clip_image", _clip()), ("unet", _unet())):
        with tempfile.TemporaryDirectory() as folder:
            _measure(kind, network, Path(folder) / "model.onnx")
    return 0


def _measure(kind: str, network: Network, path: Path) -> None:
    errors = export_network(kind, network, path)
    sys.stdout.write(f"{kind}: {path.stat().st_size / 1e6:.0f} MB in fp32, {max(errors.values()):.1e} from torch\n")
    cases = {name: _feed(network, tensors) for name, tensors in network.cases.items()}
    for precision in ("int8", "fp16"):
        sys.stdout.write(f"  {convert(path, precision, kind, cases).summary}\n")
        sys.stdout.flush()


def _feed(network: Network, tensors: tuple[torch.Tensor, ...]) -> Feed:
    return {item.name: tensor.numpy() for item, tensor in zip(network.inputs, tensors, strict=True)}


def _clip() -> Network:
    return image_network(CLIPModel(CLIPConfig()))


class _Denoiser(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unet: Any = UNet2DConditionModel(  # type: ignore[no-untyped-call]
            block_out_channels=(64, 128, 256, 256),
            layers_per_block=1,
            cross_attention_dim=_WORD_SIZE,
            attention_head_dim=4,
        )

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        noise: torch.Tensor = self.unet(sample, timestep, words, return_dict=False)[0]
        return noise


def _unet() -> Network:
    sample, timestep, words = _latents(2, 32)
    inputs = (
        GraphInput("sample", sample, (0, 2, 3), _LATENT),
        GraphInput("timestep", timestep, (0,), {0: "batch"}),
        GraphInput("words", words, (0, 1), {0: "batch", 1: "length"}),
    )
    cases = {"one": _latents(1, 32), "three": _latents(3, 24)}
    return Network(_Denoiser(), inputs, (GraphOutput("noise", _LATENT),), cases)


def _latents(rows: int, side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    times = torch.linspace(1, 999, rows)
    return torch.randn(rows, _CHANNELS, side, side), times, torch.randn(rows, 77, _WORD_SIZE)


if __name__ == "__main__":
    raise SystemExit(main())
