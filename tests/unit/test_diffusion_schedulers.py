"""The schedulers a family offers: which, made from what, and what they refuse."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from modelcore.contract import Architecture
from modelcore.diffusion.noise import NoiseSource
from modelcore.diffusion.scheduler_names import SCHEDULERS, check_scheduler, scheduler_names
from modelcore.diffusion.schedulers import Sampler, Schedulers, make_scheduler
from modelcore.errors import InvalidInput
from modelcore.family import family_names, read_family
from tests.diffusion_pipelines import REFERENCE_SCHEDULERS
from tests.diffusion_rows import CONFIGS, SD_CONFIG

FAMILIES = Path(__file__).parents[2] / "families"


def test_every_name_is_held_against_a_class_of_diffusers() -> None:
    assert set(SCHEDULERS) == set(REFERENCE_SCHEDULERS)


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_every_name_of_an_architecture_can_be_had(architecture: Architecture) -> None:
    schedulers = Schedulers(CONFIGS[architecture], architecture)
    assert all(_sampler(schedulers, name).calls >= 6 for name in scheduler_names(architecture))


@pytest.mark.parametrize("family", family_names(FAMILIES))
def test_every_familys_own_scheduler_fits_its_architecture(family: str) -> None:
    diffusion = read_family(FAMILIES / family).diffusion
    assert diffusion is None or diffusion.defaults.scheduler in scheduler_names(diffusion.architecture)


@pytest.mark.parametrize(("name", "architecture"), [("ddim", "sd3"), ("flow_euler", "sd"), ("eval", "sdxl")])
def test_a_scheduler_that_does_not_fit_is_refused_with_those_that_do(name: str, architecture: Architecture) -> None:
    with pytest.raises(InvalidInput, match=", ".join(scheduler_names(architecture))) as caught:
        check_scheduler(name, architecture)
    assert caught.value.field == "scheduler"


def test_a_long_wrong_name_is_not_echoed() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_scheduler("x" * 1000, "sd")
    assert len(caught.value.detail) < 300


def test_lcm_refuses_more_steps_than_it_was_distilled_to() -> None:
    with pytest.raises(InvalidInput, match="scheduler lcm takes at most 50 steps of this family: 51") as caught:
        _sampler(Schedulers(SD_CONFIG, "sd"), "lcm", steps=51)
    assert caught.value.field == "steps"


def test_pndm_refuses_fewer_steps_than_its_start_takes() -> None:
    schedulers = Schedulers({**SD_CONFIG, "skip_prk_steps": False}, "sd")
    with pytest.raises(InvalidInput, match="scheduler pndm takes at least 4 steps of this family: 3"):
        _sampler(schedulers, "pndm", steps=3)


@pytest.mark.parametrize("architecture", ["sd", "sdxl"])
def test_latents_are_never_clipped_to_a_pictures_bounds(architecture: Architecture) -> None:
    """DDIM does where nobody says otherwise, and a family's file may say nothing."""
    silent = {key: value for key, value in SD_CONFIG.items() if key != "clip_sample"}
    silence, spoken = (_two_ddim_steps(Schedulers(config, architecture)) for config in (silent, SD_CONFIG))
    np.testing.assert_array_equal(silence, spoken)


@pytest.mark.parametrize(("architecture", "taken"), [("sd", 5), ("sdxl", 5), ("sd3", 6)])
def test_part_of_the_steps_is_rounded_as_each_pipeline_rounds(architecture: Architecture, taken: int) -> None:
    schedulers = Schedulers(CONFIGS[architecture], architecture)
    sampler = _sampler(schedulers, scheduler_names(architecture)[0], steps=10, strength=0.55)
    assert (sampler.asked_steps, sampler.calls) == (taken, taken)


@pytest.mark.parametrize("name", scheduler_names("sd"))
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 49])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"timestep_spacing": "trailing", "prediction_type": "v_prediction", "beta_schedule": "linear"},
        {"timestep_spacing": "trailing", "prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
        {"timestep_spacing": "linspace"},
    ],
    ids=["as sd", "v, trailing", "zero terminal SNR", "linspace"],
)
def test_every_number_of_steps_ends_in_numbers(name: str, steps: int, config: dict[str, Any]) -> None:
    noise = NoiseSource(1)
    sampler = _sampler(Schedulers({**SD_CONFIG, **config}, "sd"), name, steps=steps, noise=noise)
    latents = sampler.started(noise.draw((4, 3, 5)))
    for call in range(sampler.calls):
        latents = sampler.step(call, 0.5 * sampler.scaled(call, latents), latents)
    assert latents.dtype == np.float32
    assert np.isfinite(latents).all()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"set_alpha_to_one": True, "timestep_spacing": "trailing"},
        {"timestep_spacing": "linspace", "beta_schedule": "linear"},
    ],
    ids=["as sd", "trailing", "linspace"],
)
@pytest.mark.parametrize("first", [0, 4, 5])
@pytest.mark.parametrize("steps", [12, 13])
@pytest.mark.parametrize("name", ["ddim", "dpmpp_sde"])
def test_steps_without_torch_are_those_of_diffusers_bit_for_bit(
    name: str, steps: int, first: int, prediction: str, config: dict[str, Any]
) -> None:
    config = {**SD_CONFIG, **config, "prediction_type": prediction}
    reference, noise = make_scheduler(name, config, "sd"), NoiseSource(2)
    reference.set_timesteps(steps)
    reference.set_begin_index(first) if name != "ddim" else None
    draws = {"generator": torch.Generator("cpu").manual_seed(1)}
    sampler = _sampler(Schedulers(config, "sd"), name, steps=steps, strength=(steps - first) / steps)
    latents = noise.draw((4, 6, 8))
    theirs = torch.from_numpy(latents.copy())[None]
    for call, timestep in enumerate(reference.timesteps[first:]):
        answer = noise.draw((4, 6, 8))
        latents = sampler.step(call, answer, sampler.scaled(call, latents))
        theirs = reference.step(torch.from_numpy(answer)[None], timestep, theirs, **draws).prev_sample
        np.testing.assert_array_equal(latents, theirs[0].numpy())
    assert call == sampler.calls - 1


@pytest.mark.parametrize("name", scheduler_names("sd"))
def test_pictures_that_take_the_same_steps_by_turns_do_not_touch_each_other(name: str) -> None:
    schedulers = Schedulers(SD_CONFIG, "sd")
    alone = [_painted([_sampler(Schedulers(SD_CONFIG, "sd"), name, noise=NoiseSource(seed))])[0] for seed in (1, 2)]
    together = _painted([_sampler(schedulers, name, noise=NoiseSource(seed)) for seed in (1, 2)])
    np.testing.assert_array_equal(together, alone)


def _painted(samplers: list[Sampler]) -> list[Any]:
    """The latents of each, a step of one after a step of the other."""
    latents = [sampler.started(NoiseSource(3).draw((4, 3, 5))) for sampler in samplers]
    for call in range(samplers[0].calls):
        for which, sampler in enumerate(samplers):
            answer = (0.3 + 0.2 * call) * sampler.scaled(call, latents[which])
            latents[which] = sampler.step(call, answer, latents[which])
    return latents


def _sampler(schedulers: Schedulers, name: str, *, steps: int = 6, noise: Any = None, **more: Any) -> Sampler:
    return schedulers.sampler(name, steps, noise or NoiseSource(1), **more)


def _two_ddim_steps(schedulers: Schedulers) -> Any:
    sampler = _sampler(schedulers, "ddim")
    latents = sampler.started(3 * NoiseSource(2).draw((4, 8, 8)))
    for call in range(2):
        latents = sampler.step(call, np.zeros_like(latents), latents)
    return latents
