"""A running average of a network's weights: what is exported, while the weights themselves still jump about."""

import copy

import torch
from torch import nn


class Average(nn.Module):
    """Kept as a module, so that a checkpoint of the network holds it as well; no optimizer moves it."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.network = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def follow(self, network: nn.Module, step: int) -> None:
        """Early on the average is short, so that it soon forgets where training began."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        mine, others = list(self.network.parameters()), list(network.parameters())
        torch._foreach_lerp_(mine, others, share)
