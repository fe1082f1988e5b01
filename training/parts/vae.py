"""Train the family's VAE: 128 px pictures to 16 x 16 x 4 latents and back, in two stages.

Factor 8 learnt from nothing stalls. So a coarse network learns factor 4 on half-size pictures, then an outer
level that changes almost nothing is put around it, and the whole learns on full-size ones.
"""

import math
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor, nn
from torch.nn import functional

from training.family import Order
from training.hub import save_model
from training.loop import Run, train
from training.scene import CANVAS_PX
from training.tensors import pixels_tensor
from training.world import Sample, World

COARSE_BLOCKS, BLOCKS = (16, 32, 64), (16, 16, 32, 64)
LATENT_CHANNELS = 4
COARSE_STEPS, CROP_STEPS, STEPS = 900, 900, 2000
COARSE_BATCH, CROP_BATCH, BATCH = 16, 16, 8
CROP_PX = 64
KL_WEIGHT = 1e-5
FIRST_LOG_VARIANCE = -8.0  # of the latents when noise sets in
THING_WEIGHT = 2.0  # added to the weight of 1 that every pixel has

RECIPE = (
    f"{COARSE_STEPS} batches of {COARSE_BATCH} half-size pictures by a network of factor 4; around it a level that "
    f"at first only halves and doubles; {CROP_STEPS} batches of {CROP_BATCH} crops of {CROP_PX} px near a thing, then "
    f"{STEPS - CROP_STEPS} of {BATCH} whole pictures; squared error, things weighted {1 + THING_WEIGHT:.0f} times; "
    f"from the second stage on noise on the latents, KL weight {KL_WEIGHT}; AdamW 1e-3, Muon 3e-3, then 2e-3, falling "
    "to 0 over the last 30 %; latents normalised inside the 1 x 1 convolutions"
)


class VaeTask:
    """One stage: what differs is the network, the size of its pictures, and noise on the latents."""

    kl_weight = 0.0

    learning_rate, matrix_rate = 1e-3, 3e-3

    def __init__(self, name: str, network: AutoencoderKL, seed: int) -> None:
        self.name, self.network, self.seed = name, network, seed
        self.world = World("train", seed + 100)

    def loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
        pixels, things = batch  # -1 to 1; 0 to 1
        posterior = self.network.encode(pixels).latent_dist
        seen = self.network.decode(self._latent(posterior)).sample.float()
        error = (seen - pixels).square()
        kept = 10 * ((1 + THING_WEIGHT * things) * error).mean()
        divergence = posterior.kl().mean() / posterior.mean[0].numel()
        decibel = -10 * math.log10(error.mean().item() / 4)
        return kept + self.kl_weight * divergence, {"dB": decibel, "kl": divergence.item()}

    def _latent(self, posterior: DiagonalGaussianDistribution) -> Tensor:
        return posterior.sample() if self.kl_weight else posterior.mode()

    def _tensors(self, samples: list[Sample]) -> tuple[Tensor, Tensor]:
        pixels = pixels_tensor([sample.drawing for sample in samples]) * 2 - 1
        anything = np.stack([sample.drawing.masks.any(axis=0) for sample in samples])
        return pixels, torch.from_numpy(anything).float()[:, None]

    def _samples(self, step: int, count: int) -> list[Sample]:
        return list(self.world.samples(count, start=step * 64))


class CoarseTask(VaeTask):
    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        super().__init__("vae coarse", make(COARSE_BLOCKS), seed)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        pixels, things = self._tensors(self._samples(step, COARSE_BATCH))
        device = self.network.device
        return tuple(functional.avg_pool2d(tensor, 2).to(device) for tensor in (pixels, things))


class FineTask(VaeTask):
    learning_rate, matrix_rate = 1e-3, 2e-3
    kl_weight = KL_WEIGHT

    def __init__(self, coarse: AutoencoderKL, seed: int) -> None:
        super().__init__("vae", grown(coarse), seed + 1)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        if step >= CROP_STEPS:
            tensors = self._tensors(self._samples(step, BATCH))
        else:
            tensors = self._crops(self._samples(step, CROP_BATCH), step)
        return tuple(tensor.to(self.network.device) for tensor in tensors)

    def _crops(self, samples: list[Sample], step: int) -> tuple[Tensor, Tensor]:
        rng = random.Random(f"crop {self.seed} {step}")
        pixels, things = self._tensors(samples)
        corners = [_corner_near_a_thing(sample, rng) for sample in samples]
        return tuple(
            torch.stack(
                [
                    picture[:, top : top + CROP_PX, left : left + CROP_PX]
                    for picture, (left, top) in zip(tensor, corners, strict=True)
                ]
            )
            for tensor in (pixels, things)
        )


def train_part(order: Order) -> Run:
    coarse = CoarseTask(order.seed)
    first = train(coarse, order.run_folder / "coarse", COARSE_STEPS, resume=order.resume)
    fine = FineTask(coarse.network, order.seed)
    run = train(fine, order.run_folder, STEPS, resume=order.resume)
    run.seconds += first.seconds
    export(fine.network, order.weights_folder)
    return run


def export(network: AutoencoderKL, folder: Path) -> None:
    fold_normalisation(network, seed=1)
    save_model(network, folder)


def make(blocks: tuple[int, ...]) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=blocks,
        down_block_types=("DownEncoderBlock2D",) * len(blocks),
        up_block_types=("UpDecoderBlock2D",) * len(blocks),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=LATENT_CHANNELS,
        sample_size=CANVAS_PX,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )


@torch.no_grad()
def grown(coarse: AutoencoderKL) -> AutoencoderKL:
    """The same network inside one more level, which at first only halves and doubles the picture."""
    fine = make(BLOCKS)
    for half in ("quant_conv", "post_quant_conv"):
        getattr(fine, half).load_state_dict(getattr(coarse, half).state_dict())
    _quieten(fine.quant_conv)
    _grow_encoder(fine.encoder, coarse.encoder)
    _grow_decoder(fine.decoder, coarse.decoder)
    return fine


def _quieten(moments: nn.Conv2d) -> None:
    """The coarse network never learnt how much noise its latents bear: begin with little."""
    nn.init.zeros_(moments.weight[LATENT_CHANNELS:])
    nn.init.constant_(moments.bias[LATENT_CHANNELS:], FIRST_LOG_VARIANCE)


def _grow_encoder(fine: nn.Module, coarse: nn.Module) -> None:
    _copy_ends(fine, coarse)
    for new, old in zip(fine.down_blocks[1:], coarse.down_blocks, strict=True):
        new.load_state_dict(old.state_dict())
    outer = fine.down_blocks[0]
    _silence(outer)
    halve = outer.downsamplers[0].conv
    _set_identity(halve, taps=[(0, 0), (0, 1), (1, 0), (1, 1)])


def _grow_decoder(fine: nn.Module, coarse: nn.Module) -> None:
    _copy_ends(fine, coarse)
    for new, old in zip(fine.up_blocks, coarse.up_blocks, strict=False):
        new.load_state_dict(old.state_dict(), strict=False)  # the last one gains an upsampler
    _silence(fine.up_blocks[-1])
    _set_identity(fine.up_blocks[-2].upsamplers[0].conv, taps=[(1, 1)])


def _copy_ends(fine: nn.Module, coarse: nn.Module) -> None:
    for name in ("conv_in", "mid_block", "conv_norm_out", "conv_out"):
        getattr(fine, name).load_state_dict(getattr(coarse, name).state_dict())


def _silence(block: nn.Module) -> None:
    """Residual blocks that add nothing yet."""
    for resnet in block.resnets:
        nn.init.zeros_(resnet.conv2.weight)
        nn.init.zeros_(resnet.conv2.bias)


def _set_identity(conv: nn.Conv2d, taps: list[tuple[int, int]]) -> None:
    """Each channel out is the mean of the same channel in, over the given places of the kernel."""
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    channels = range(conv.out_channels)
    for row, column in taps:
        conv.weight[channels, channels, row, column] = 1 / len(taps)


@torch.no_grad()
def fold_normalisation(network: AutoencoderKL, seed: int, pictures: int = 512) -> None:
    """Make every latent channel's mean 0 and deviation 1, inside the two 1 x 1 convolutions.

    So `scaling_factor` is 1, and the diffusion sees latents of one size on every channel.
    """
    samples = World("train", seed + 500).samples(pictures)
    pixels = pixels_tensor([sample.drawing for sample in samples]) * 2 - 1
    batches = pixels.to(network.device).split(32)
    latents = torch.cat([network.encode(batch).latent_dist.mode() for batch in batches])
    mean, deviation = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    encode, decode = network.quant_conv, network.post_quant_conv
    means, logs = slice(0, LATENT_CHANNELS), slice(LATENT_CHANNELS, None)
    encode.weight[means] /= deviation.view(-1, 1, 1, 1)
    encode.bias[means] = (encode.bias[means] - mean) / deviation
    encode.bias[logs] -= 2 * deviation.log()
    decode.bias += decode.weight[:, :, 0, 0] @ mean
    decode.weight *= deviation.view(1, -1, 1, 1)


def _corner_near_a_thing(sample: Sample, rng: random.Random) -> tuple[int, int]:
    thing = rng.choice(sample.scene.things)
    left, top = (
        min(max(centre - CROP_PX // 2 + rng.randint(-16, 16), 0), CANVAS_PX - CROP_PX) for centre in (thing.x, thing.y)
    )
    return left, top
