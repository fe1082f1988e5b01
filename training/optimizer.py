"""How weights move: Muon for the matrices inside a network, AdamW for all the rest.

Muon needs far fewer samples than AdamW on networks this small (docs/training.md). Each has its own rate, and both
follow one course: a short warm-up, a plateau, and a fall to zero over the last part of the run.
"""

import torch
from torch import Tensor, nn

_WARM_UP_STEPS = 100
_FALL = 0.3  # the last part of the run
_LEAST_CHANNELS = 8  # a convolution from or to fewer, such as RGB, is no inner matrix


class Optimizers:
    def __init__(self, network: nn.Module, rate: float, matrix_rate: float, steps: int) -> None:
        self.steps = steps
        inner = inner_weights(network)
        # Muon takes matrices only: a convolution lends it a flat view of the same memory.
        self.matrices = [(weight, weight.detach().flatten(1).requires_grad_()) for weight in inner]
        known = {id(weight) for weight in inner}
        outer = [p for p in network.parameters() if p.requires_grad and id(p) not in known]
        self.outer = torch.optim.AdamW(outer, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
        self.inner = torch.optim.Muon(
            [flat for _, flat in self.matrices],
            lr=matrix_rate,
            weight_decay=0.05,
            adjust_lr_fn="match_rms_adamw",
        )
        self.rates = {self.outer: rate, self.inner: matrix_rate}

    def step(self, number: int) -> None:
        for weight, flat in self.matrices:
            flat.grad = None if weight.grad is None else weight.grad.flatten(1)
            weight.grad = None
        for optimizer, rate in self.rates.items():
            for group in optimizer.param_groups:
                group["lr"] = rate * rate_share(number, self.steps)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict]:
        return [optimizer.state_dict() for optimizer in self.rates]

    def load_state_dict(self, states: list[dict]) -> None:
        for optimizer, state in zip(self.rates, states, strict=True):
            optimizer.load_state_dict(state)


def rate_share(number: int, steps: int) -> float:
    """The share of the full learning rate at a step: up, level, down to zero."""
    rise = (number + 1) / min(_WARM_UP_STEPS, steps)
    fall = (steps - number) / (_FALL * steps)
    return max(0.0, min(1.0, rise, fall))


def inner_weights(network: nn.Module) -> list[Tensor]:
    """Weights of linear layers, and of convolutions from many channels to many; none that are frozen."""
    return [
        module.weight
        for module in network.modules()
        if (isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and _has_many_channels(module)))
        and module.weight.requires_grad
    ]


def _has_many_channels(conv: nn.Conv2d) -> bool:
    return min(conv.in_channels, conv.out_channels) > _LEAST_CHANNELS
