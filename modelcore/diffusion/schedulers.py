"""diffusers' schedulers by name, each row with one of its own. Arrays in, arrays out: torch stays inside.

A family brings one configuration; every scheduler is made from it as diffusers' users do it, `X.from_config(config)`.
"""

import copy
import functools
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_dpmsolver_singlestep import DPMSolverSinglestepScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from diffusers.schedulers.scheduling_pndm import PNDMScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

from modelcore.contract import Architecture
from modelcore.diffusion.lean_steps import LeanSteps, lean_course
from modelcore.diffusion.networks import Floats
from modelcore.diffusion.noise import NoiseSource
from modelcore.diffusion.scheduler_names import check_scheduler, scheduler_names
from modelcore.errors import InvalidInput

_RUNGE_KUTTA_STEPS = 4  # PNDM starts with them, but for families whose configuration skips them
_COURSES = 16  # of 10 kB each for 20 steps, half a megabyte for 1,000
_PATCH = 2  # sd3's transformer reads latents in squares of this side


@dataclass(frozen=True)
class _Kind:
    make: Any  # a class of diffusers
    settings: Mapping[str, Any]  # where the name asks for more than the class


_DPMPP_2M = {"algorithm_type": "dpmsolver++", "solver_order": 2}
_KINDS: Mapping[str, _Kind] = {
    "ddim": _Kind(DDIMScheduler, {}),
    "pndm": _Kind(PNDMScheduler, {}),
    "euler": _Kind(EulerDiscreteScheduler, {}),
    "euler_a": _Kind(EulerAncestralDiscreteScheduler, {}),
    "heun": _Kind(HeunDiscreteScheduler, {}),
    "dpmpp_2m": _Kind(DPMSolverMultistepScheduler, {**_DPMPP_2M, "use_karras_sigmas": False}),
    "dpmpp_2m_karras": _Kind(DPMSolverMultistepScheduler, {**_DPMPP_2M, "use_karras_sigmas": True}),
    # Not DPMSolverSDEScheduler, which needs torchsde and draws from a generator nobody can seed per picture.
    "dpmpp_sde": _Kind(
        DPMSolverSinglestepScheduler,
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 2, "lower_order_final": True},
    ),
    "unipc": _Kind(UniPCMultistepScheduler, {}),
    "lcm": _Kind(LCMScheduler, {}),
    "flow_euler": _Kind(FlowMatchEulerDiscreteScheduler, {}),
}


def make_scheduler(name: str, config: Mapping[str, Any], architecture: Architecture) -> Any:
    """diffusers' own, as its pipelines take it from a family's scheduler_config.json."""
    kind, wanted = _KINDS[name], _as_its_pipeline_takes_it(config, architecture)
    # Without what the class does not know: diffusers would ignore it just so, but say so in every log.
    known = inspect.signature(kind.make.__init__).parameters
    return kind.make.from_config({key: value for key, value in wanted.items() if key in known}, **kind.settings)


class Schedulers:
    """All schedulers of one family. May be used from several threads: what it keeps is only ever copied."""

    def __init__(self, config: Mapping[str, Any], architecture: Architecture) -> None:
        """`config` is the family's scheduler_config.json."""
        self._architecture = architecture
        self._fresh = {name: make_scheduler(name, config, architecture) for name in scheduler_names(architecture)}
        # Setting a scheduler's steps takes as long as two of them, and most pictures are asked for with the same.
        self._course = functools.lru_cache(maxsize=_COURSES)(self._new_course)

    def sampler(
        self, name: str, steps: int, noise: NoiseSource, *, strength: float = 1.0, latents: tuple[int, ...] = ()
    ) -> "Sampler":
        """For one picture. `strength` is the share of the steps to take, the last ones; `latents` their shape."""
        check_scheduler(name, self._architecture)
        skipped = _skipped_steps(steps, strength, self._architecture)
        if skipped >= steps:
            raise InvalidInput(
                f"strength {strength:g} of {steps} steps leaves none to take; strength must be at least "
                f"{math.ceil(1000 / steps) / 1000:g}, or steps more",
                field="strength",
            )
        shifted_for = latents if self._fresh[name].config.get("use_dynamic_shifting") else ()
        return Sampler(self._course(name, steps, skipped, shifted_for), noise)

    def _new_course(self, name: str, steps: int, skipped: int, shifted_for: tuple[int, ...]) -> "Course":
        scheduler = copy.deepcopy(self._fresh[name])
        _set_steps(scheduler, name, steps, shifted_for)
        return Course(scheduler, asked_steps=steps - skipped, skipped_steps=skipped)


class Course:
    """A scheduler with its steps set: all that pictures have in common which ask for the same."""

    def __init__(self, scheduler: Any, *, asked_steps: int, skipped_steps: int) -> None:
        self.asked_steps = asked_steps
        self._scheduler = scheduler
        self._first = skipped_steps * scheduler.order
        self._lean = lean_course(scheduler, self._first)
        # One by one, now: to cut them out of the tensor costs as much as a small scheduler's step.
        self.timesteps = tuple(scheduler.timesteps[self._first :])
        self.timesteps_as_numbers: tuple[float, ...] = tuple(scheduler.timesteps[self._first :].tolist())
        self.draws = "generator" in inspect.signature(scheduler.step).parameters
        self.is_flow = isinstance(scheduler, FlowMatchEulerDiscreteScheduler)

    def begin(self, noise: NoiseSource) -> tuple[Any, LeanSteps | None]:
        """One picture's scheduler, and its steps where torch need not do them."""
        # Only a scheduler's own steps write into what it holds.
        scheduler = copy.deepcopy(self._scheduler) if self._lean is None else copy.copy(self._scheduler)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(self._first)
        return scheduler, None if self._lean is None else self._lean.begin(scheduler, noise)


class Sampler:
    """One picture's scheduler. `call` counts the denoiser's calls for this picture, from 0."""

    def __init__(self, course: Course, noise: NoiseSource) -> None:
        self.asked_steps = course.asked_steps
        self._scheduler, self._lean = course.begin(noise)
        self._timesteps, self._timesteps_as_numbers = course.timesteps, course.timesteps_as_numbers
        self._draws = {"generator": noise.generator} if course.draws else {}
        self._is_flow = course.is_flow

    @property
    def calls(self) -> int:
        return len(self._timesteps)

    def timestep(self, call: int) -> float:
        return self._timesteps_as_numbers[call]

    def started(self, noise: Floats) -> Floats:
        """Latents that are nothing but noise, as loud as the first step expects."""
        return _array(_tensor(noise) * getattr(self._scheduler, "init_noise_sigma", 1.0))

    def noised(self, call: int, latents: Floats, noise: Floats) -> Floats:
        """Finished latents as they would look before this call."""
        timestep = self._timesteps[call][None]
        if self._is_flow:
            return _array(self._scheduler.scale_noise(_tensor(latents), timestep, _tensor(noise)))
        return _array(self._scheduler.add_noise(_tensor(latents), _tensor(noise), timestep))

    def scaled(self, call: int, latents: Floats) -> Floats:
        """As the denoiser is to see them."""
        if self._is_flow or self._lean is not None:
            return latents
        return _array(self._scheduler.scale_model_input(_tensor(latents), self._timesteps[call]))

    def step(self, call: int, noise: Floats, latents: Floats) -> Floats:
        """To be called once for each call, in order: most schedulers remember what came before."""
        if self._lean is not None:
            return self._lean.step(call, noise, latents)
        with torch.inference_mode():
            answer = self._scheduler.step(
                _tensor(noise), self._timesteps[call], _tensor(latents), **self._draws, return_dict=False
            )
            return _array(answer[0])

    def estimate(self, call: int, seen: Floats, noise: Floats) -> Floats:
        """The finished latents, foreseen from what the denoiser saw and answered at this call."""
        timestep = self.timestep(call)
        if self._is_flow:
            return seen - np.float32(timestep / self._scheduler.config.num_train_timesteps) * noise
        kept = self._scheduler.alphas_cumprod.numpy()
        signal = max(float(np.interp(timestep, np.arange(len(kept)), kept)), 1e-6)
        loudness, rest = np.float32(math.sqrt(signal)), np.float32(math.sqrt(1 - signal))
        match self._scheduler.config.prediction_type:
            case "v_prediction":
                return loudness * seen - rest * noise
            case "sample":
                return noise
            case _:
                return (seen - rest * noise) / loudness


def _as_its_pipeline_takes_it(config: Mapping[str, Any], architecture: Architecture) -> dict[str, Any]:
    """StableDiffusionPipeline mends both in old files. Latents have no bounds to be clipped to, in sdxl neither."""
    if architecture == "sd3":
        return dict(config)
    mended = {"steps_offset": 1} if architecture == "sd" else {}
    return {**config, "clip_sample": False, **mended}


def _set_steps(scheduler: Any, name: str, steps: int, latents: tuple[int, ...]) -> None:
    settings: dict[str, Any] = {}
    if scheduler.config.get("use_dynamic_shifting"):
        settings["mu"] = _shift(scheduler.config, latents)
    try:
        scheduler.set_timesteps(steps, **settings)
    except ValueError as error:
        limit = _steps_limit(scheduler, steps)
        raise InvalidInput(f"scheduler {name} takes {limit} steps of this family: {steps}", field="steps") from error


def _steps_limit(scheduler: Any, steps: int) -> str:
    if isinstance(scheduler, PNDMScheduler) and steps < _RUNGE_KUTTA_STEPS:
        return f"at least {_RUNGE_KUTTA_STEPS}"
    # LCM may only go where the network was distilled to; the others wherever it was trained.
    return f"at most {scheduler.config.get('original_inference_steps', scheduler.config.num_train_timesteps)}"


def _shift(config: Mapping[str, Any], latents: tuple[int, ...]) -> float:
    """The more there is to draw, the more of the steps are spent in noise: diffusers' `calculate_shift`."""
    _, height, width = latents
    few, many = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    least, most = config.get("base_shift", 0.5), config.get("max_shift", 1.16)
    slope = (most - least) / (many - few)
    shift: float = (height // _PATCH) * (width // _PATCH) * slope + least - slope * few
    return shift


def _skipped_steps(steps: int, strength: float, architecture: Architecture) -> int:
    """As diffusers' pipelines: sd and sdxl round the steps to take down, sd3 up."""
    taken = min(steps * strength, steps)
    return int(steps - taken) if architecture == "sd3" else steps - int(taken)


def _tensor(array: Floats) -> torch.Tensor:
    """With the row dimension that schedulers expect."""
    return torch.from_numpy(array)[None]


def _array(tensor: torch.Tensor) -> Floats:
    array: Floats = tensor[0].numpy()
    return array
