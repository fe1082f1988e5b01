"""A first layer that already sees edges: the world's own patches, decorrelated.

Plain patches are nearly all brightness. A patch embedding drawn at random passes that on, and hides the edges
that tell a star from a heart; whitened, edges are as loud as brightness from the first step.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEAST_VARIANCE = 0.01  # of pictures whose pixels have about unit variance


@torch.no_grad()
def whiten(embedding: nn.Conv2d, pixels: Tensor) -> Tensor:
    """Set the weights from the pictures' principal patches; returns the mean patch, embedded."""
    size = embedding.kernel_size
    patches = functional.unfold(pixels, size, stride=size).transpose(1, 2).flatten(0, 1)
    variances, directions = torch.linalg.eigh(torch.cov(patches.T))
    strongest = slice(-embedding.out_channels, None)
    scale = (variances[strongest] + _LEAST_VARIANCE).rsqrt()
    weight = (directions[:, strongest] * scale).T
    embedding.weight.copy_(weight.view_as(embedding.weight))
    return weight @ patches.mean(dim=0)


def places(count: int, width: int) -> Tensor:
    """Sines and cosines of row and column for a square of patches: (count * count, width)."""
    quarter = width // 4
    waves = math.pi / count * 2 ** torch.linspace(0, math.log2(count), quarter)
    steps = torch.arange(count, dtype=torch.float32)
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    angles = [axis.reshape(-1, 1) * waves for axis in (rows, columns)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)
