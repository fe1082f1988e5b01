"""Pictures to latents and back, with the family's scaling inside the graph.

Latents outside are always the denoiser's own, so nobody who joins the networks, our engine or a client of Triton, has
to know a family's scaling and shift. The encoder gives the mean and the deviation, not a sample: whoever calls it
draws the noise with a generator of his own, mean + deviation * noise, as diffusers does.
"""

from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from export.diffusion.loading import load_part
from export.graph import GraphInput, GraphOutput
from export.network import Network

_PICTURE = {0: "batch", 2: "height", 3: "width"}
_LATENTS = {0: "batch", 2: "latent_height", 3: "latent_width"}


class Encoder(torch.nn.Module):
    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae
        self.shift, self.scale = _normalisation(vae)

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        latents = self.vae.encode(picture).latent_dist
        return (latents.mean - self.shift) * self.scale, latents.std * self.scale


class Decoder(torch.nn.Module):
    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae
        self.shift, self.scale = _normalisation(vae)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        picture: torch.Tensor = self.vae.decode(latents / self.scale + self.shift, return_dict=False)[0]
        return picture


def encoder(folder: Path) -> Network:
    vae = load_part(AutoencoderKL, folder)
    factor = _factor(vae)
    sizes = ((1, factor * 8, factor * 8), (3, factor * 9, factor * 7), (2, factor * 5 + 3, factor * 4 + 1))
    cases = {f"batch {rows}, {height}x{width}": (_noise(rows, height, width),) for rows, height, width in sizes}
    return Network(
        module=Encoder(vae),
        inputs=(GraphInput("picture", _noise(2, factor * 5, factor * 6), (0, 2, 3), _PICTURE),),
        outputs=(GraphOutput("latents_mean", _LATENTS), GraphOutput("latents_deviation", _LATENTS)),
        cases={**cases, "a drawn disc": (_disc(factor * 8),)},
    )


def decoder(folder: Path) -> Network:
    vae = load_part(AutoencoderKL, folder)
    channels = vae.config["latent_channels"]
    sizes = ((1, 8, 8), (3, 9, 7), (2, 6, 11))
    return Network(
        module=Decoder(vae),
        inputs=(GraphInput("latents", torch.randn(2, channels, 5, 6), (0, 2, 3), _LATENTS),),
        outputs=(GraphOutput("picture", _PICTURE),),
        cases={
            f"batch {rows}, {height}x{width} latents": (torch.randn(rows, channels, height, width),)
            for rows, height, width in sizes
        },
    )


def _normalisation(vae: AutoencoderKL) -> tuple[torch.Tensor | float, torch.Tensor | float]:
    """What to take off and then to multiply with: sd has one number, sd3 a shift too, some sdxl one per channel."""
    config = vae.config
    if config["latents_mean"] is None or config["latents_std"] is None:
        return config["shift_factor"] or 0.0, config["scaling_factor"]
    deviation = torch.tensor(config["latents_std"]).view(1, -1, 1, 1)
    return torch.tensor(config["latents_mean"]).view(1, -1, 1, 1), config["scaling_factor"] / deviation


def _factor(vae: AutoencoderKL) -> int:
    return int(2 ** (len(vae.config["block_out_channels"]) - 1))


def _noise(rows: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(rows, 3, height, width) * 2 - 1


def _disc(side: int) -> torch.Tensor:
    """Smooth areas and an edge, as pictures have and noise has not."""
    line = torch.linspace(-1, 1, side)
    inside = (line[:, None] ** 2 + line[None, :] ** 2 < 0.5).float()
    return torch.stack([inside * 2 - 1, line[:, None].expand(side, side), -inside])[None]
