"""Steps of the two schedulers that paint most pictures, without torch: bit for bit those of diffusers' own.

Right after a call of the denoiser nothing else is left in the processor's caches, and torch is large: its step of
4 x 16 x 16 latents then takes 0.5 to 0.7 ms, one of these 0.1. Beside a small network that is 4 % of a picture's time.
"""

from typing import Any, Protocol

import numpy as np
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_singlestep import DPMSolverSinglestepScheduler

from modelcore.diffusion.networks import Floats
from modelcore.diffusion.noise import NoiseSource

_SDE = {
    "algorithm_type": "sde-dpmsolver++",
    "solver_type": "midpoint",
    "solver_order": 2,
    "use_flow_sigmas": False,
    "variance_type": None,
}


class LeanSteps(Protocol):
    """One picture's. They leave the latents as they are for the denoiser to see."""

    def step(self, call: int, answer: Floats, latents: Floats) -> Floats: ...


def lean_steps(scheduler: Any, first: int, noise: NoiseSource) -> LeanSteps | None:
    """For diffusers' own, its steps set, from this one of them on; None where torch has to do it."""
    config = scheduler.config
    if config.get("thresholding") or config.get("clip_sample"):
        return None
    if isinstance(scheduler, DDIMScheduler):
        return DDIMSteps(scheduler, first)
    if isinstance(scheduler, DPMSolverSinglestepScheduler) and _SDE.items() <= dict(config).items():
        return SDESteps(scheduler, first, noise)
    return None


class DDIMSteps:
    """Without noise of its own (eta is 0)."""

    def __init__(self, scheduler: Any, first: int) -> None:
        timesteps = scheduler.timesteps[first:]
        then = timesteps - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
        kept = scheduler.alphas_cumprod[timesteps]
        kept_then = torch.where(then >= 0, scheduler.alphas_cumprod[then.clamp(min=0)], scheduler.final_alpha_cumprod)
        # In torch's single precision, as there: a power in double precision would be another number.
        self._signal, self._noise = (kept**0.5).numpy(), ((1 - kept) ** 0.5).numpy()
        self._next_signal, self._next_noise = (kept_then**0.5).numpy(), ((1 - kept_then) ** 0.5).numpy()
        self._predicts = scheduler.config.prediction_type

    def step(self, call: int, answer: Floats, latents: Floats) -> Floats:
        signal, loudness = self._signal[call], self._noise[call]
        finished = _finished(self._predicts, signal, loudness, answer, latents)
        match self._predicts:
            case "v_prediction":
                noise = signal * answer + loudness * latents
            case "sample":
                noise = (latents - signal * answer) / loudness
            case _:
                noise = answer
        stepped: Floats = self._next_signal[call] * finished + self._next_noise[call] * noise
        return stepped


class SDESteps:
    """DPM++ SDE: steps of the first and of the second order by turns, each with noise of its own."""

    def __init__(self, scheduler: Any, first: int, noise: NoiseSource) -> None:
        self._predicts = scheduler.config.prediction_type
        self._source = noise
        self._scheduler, self._first = scheduler, first
        self._signals = [_Signal(scheduler, sigma) for sigma in scheduler.sigmas[first:]]
        # Whoever joins in the middle has no earlier answer for the second order.
        orders = [1, *scheduler.order_list[first + 1 :]]
        self._moves = [_Move(order, self._signals, call) for call, order in enumerate(orders)]
        self._start = self._before = np.empty(0, np.float32)

    def step(self, call: int, answer: Floats, latents: Floats) -> Floats:
        here, move = self._signals[call], self._moves[call]
        finished = _finished(self._predicts, here.signal, here.loudness, answer, latents)
        drawn = self._source.draw(latents.shape)
        stepped: Floats
        if move.order == 1:
            self._start = latents
            stepped = move.keeps * latents + move.takes * finished + move.draws * drawn
        else:
            slope = move.steepness * (finished - self._before)
            stepped = move.keeps * self._start + move.takes * self._before + move.half * slope + move.draws * drawn
        self._before = finished
        # Its `add_noise`, which inpainting needs, goes by the step that it believes to be at.
        self._scheduler._step_index = self._first + call + 1
        return stepped


class _Signal:
    """How loud the picture and the noise are at a step. All numbers as diffusers' torch has them, one by one."""

    def __init__(self, scheduler: Any, sigma: torch.Tensor) -> None:
        alpha, loudness = scheduler._sigma_to_alpha_sigma_t(sigma)
        self.alpha, self.sigma = alpha, loudness
        self.clearness = torch.log(alpha) - torch.log(loudness)
        self.signal, self.loudness = alpha.numpy()[()], loudness.numpy()[()]


class _Move:
    """What a step is made of: of the latents, of the finished picture as it is foreseen, and of new noise."""

    def __init__(self, order: int, signals: list[_Signal], call: int) -> None:
        start, then = signals[call + 1 - order], signals[call + 1]
        h = then.clearness - start.clearness
        share = then.alpha * (1 - torch.exp(-2.0 * h))
        self.order = order
        self.keeps = (then.sigma / start.sigma * torch.exp(-h)).numpy()[()]
        self.takes, self.half = share.numpy()[()], (0.5 * share).numpy()[()]
        self.draws = (then.sigma * torch.sqrt(1.0 - torch.exp(-2 * h))).numpy()[()]
        if order == 2:
            self.steepness = (1.0 / ((signals[call].clearness - start.clearness) / h)).numpy()[()]


def _finished(predicts: str, signal: Any, loudness: Any, answer: Floats, latents: Floats) -> Floats:
    """The finished latents, as the denoiser's answer foresees them."""
    finished: Floats
    match predicts:
        case "v_prediction":
            finished = signal * latents - loudness * answer
        case "sample":
            finished = answer
        case _:
            finished = (latents - loudness * answer) / signal
    return finished
