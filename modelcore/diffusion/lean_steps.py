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

# Steps' noise that is drawn together: a draw takes 120 microseconds right after a call, 10 right after another draw.
_DRAWN_TOGETHER = 8


class LeanSteps(Protocol):
    """One picture's. They leave the latents as they are for the denoiser to see."""

    def step(self, call: int, answer: Floats, latents: Floats) -> Floats: ...


class LeanCourse(Protocol):
    """All that pictures have in common which take the same steps."""

    def begin(self, scheduler: Any, noise: NoiseSource) -> LeanSteps:
        """For one picture, with its own copy of the scheduler."""


def lean_course(scheduler: Any, first: int) -> LeanCourse | None:
    """For diffusers' own, its steps set, from this one of them on; None where torch has to do it."""
    config = scheduler.config
    if config.get("thresholding") or config.get("clip_sample"):
        return None
    if isinstance(scheduler, DDIMScheduler):
        return DDIMSteps(scheduler, first)
    if isinstance(scheduler, DPMSolverSinglestepScheduler) and _SDE.items() <= dict(config).items():
        return SDECourse(scheduler, first)
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

    def begin(self, _scheduler: Any, _noise: NoiseSource) -> "DDIMSteps":
        """They remember nothing, so one does for all."""
        return self

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


class SDECourse:
    """DPM++ SDE: steps of the first and of the second order by turns, each with noise of its own."""

    def __init__(self, scheduler: Any, first: int) -> None:
        self.first = first
        self.predicts: str = scheduler.config.prediction_type
        alphas, sigmas = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[first:])
        self.signals, self.loudnesses = alphas.numpy(), sigmas.numpy()
        # Whoever joins in the middle has no earlier answer for the second order.
        self.orders: list[int] = [1, *scheduler.order_list[first + 1 :]]
        self.moves = _Moves(torch.tensor(self.orders), alphas, sigmas)

    def begin(self, scheduler: Any, noise: NoiseSource) -> "SDESteps":
        return SDESteps(self, scheduler, noise)


class SDESteps:
    def __init__(self, course: SDECourse, scheduler: Any, noise: NoiseSource) -> None:
        self._course, self._scheduler, self._source = course, scheduler, noise
        self._start = self._before = np.empty(0, np.float32)
        self._drawn: list[Floats] = []  # the next step's is the last

    def step(self, call: int, answer: Floats, latents: Floats) -> Floats:
        course, moves = self._course, self._course.moves
        finished = _finished(course.predicts, course.signals[call], course.loudnesses[call], answer, latents)
        drawn = self._noise_of(call, latents.shape)
        stepped: Floats
        keeps, takes, draws = moves.keeps[call], moves.takes[call], moves.draws[call]
        if course.orders[call] == 1:
            self._start = latents
            stepped = keeps * latents + takes * finished + draws * drawn
        else:
            slope = moves.steepness[call] * (finished - self._before)
            stepped = keeps * self._start + takes * self._before + moves.half[call] * slope + draws * drawn
        self._before = finished
        # Its `add_noise`, which inpainting needs, goes by the step that it believes to be at.
        self._scheduler._step_index = course.first + call + 1
        return stepped

    def _noise_of(self, call: int, shape: tuple[int, ...]) -> Floats:
        if not self._drawn:
            count = min(_DRAWN_TOGETHER, len(self._course.orders) - call)
            self._drawn = [self._source.draw(shape) for _ in range(count)][::-1]
        return self._drawn.pop()


class _Moves:
    """What each step is made of: of the latents, of the finished picture as it is foreseen, and of new noise.

    `alphas` and `sigmas` say how loud the picture and the noise are before each step and after the last. All numbers
    as diffusers' torch has them, in single precision.
    """

    def __init__(self, orders: torch.Tensor, alphas: torch.Tensor, sigmas: torch.Tensor) -> None:
        clearness = torch.log(alphas) - torch.log(sigmas)
        here = torch.arange(len(orders))
        start, then = here + 1 - orders, here + 1
        h = clearness[then] - clearness[start]
        share = alphas[then] * (1 - torch.exp(-2.0 * h))
        self.keeps = (sigmas[then] / sigmas[start] * torch.exp(-h)).numpy()
        self.takes, self.half = share.numpy(), (0.5 * share).numpy()
        self.draws = (sigmas[then] * torch.sqrt(1.0 - torch.exp(-2 * h))).numpy()
        # Means nothing for steps of the first order, which do not ask.
        self.steepness = (1.0 / ((clearness[here] - clearness[start]) / h)).numpy()


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
