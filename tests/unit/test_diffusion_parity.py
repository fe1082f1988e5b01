"""The same weights, texts, seed and settings paint the same picture as diffusers' own pipelines.

The bar is PSNR 40 dB; ours differs by the rounding of float32 alone, so the tests ask for 80.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.callbacks import SDCFGCutoffCallback

from modelcore.diffusion.scheduler_names import scheduler_names
from modelcore.family import Architecture
from tests.diffusion_pipelines import Wanted, decoded, psnr, reference_latents
from tests.diffusion_rows import SIZE_PX, SmallFamily, box_mask, random_picture, small_family

SAME_DB = 80.0
Families = Callable[..., SmallFamily]

_EVERY_SCHEDULER: list[tuple[Architecture, str]] = [
    (architecture, name) for architecture in ("sd", "sdxl", "sd3") for name in scheduler_names(architecture)
]
every_scheduler = pytest.mark.parametrize(("architecture", "scheduler"), _EVERY_SCHEDULER)
every_strength = pytest.mark.parametrize("strength", [1.0, 0.55])


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Families:
    made: dict[Any, SmallFamily] = {}

    def family(architecture: Architecture, **kind: Any) -> SmallFamily:
        key = (architecture, *kind.items())
        if key not in made:
            made[key] = small_family(tmp_path_factory.mktemp(architecture), architecture, **kind)
        return made[key]

    return family


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Several would spin for each other: these networks are so small that a busy machine takes 20 times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@every_scheduler
def test_text_to_picture_is_diffusers_own(families: Families, architecture: Architecture, scheduler: str) -> None:
    assert _likeness(families(architecture), scheduler) > SAME_DB


@every_scheduler
@every_strength
def test_picture_to_picture_is_diffusers_own(
    families: Families, architecture: Architecture, scheduler: str, strength: float
) -> None:
    assert _likeness(families(architecture), scheduler, strength, random_picture()) > SAME_DB


@every_scheduler
@every_strength
def test_inpainting_is_diffusers_own(
    families: Families, architecture: Architecture, scheduler: str, strength: float
) -> None:
    assert _likeness(families(architecture), scheduler, strength, random_picture(), box_mask()) > SAME_DB


@pytest.mark.parametrize("architecture", ["sd", "sdxl"])
@pytest.mark.parametrize("scheduler", ["ddim", "euler_a"])
@every_strength
def test_an_inpainting_unet_is_given_mask_and_masked_picture_as_diffusers_does(
    families: Families, architecture: Architecture, scheduler: str, strength: float
) -> None:
    family = families(architecture, denoiser_channels=9)
    assert _likeness(family, scheduler, strength, random_picture(), box_mask()) > SAME_DB


def test_an_inpainting_unet_paints_from_text_alone_as_if_all_of_a_grey_picture_were_masked(families: Families) -> None:
    family = families("sd", denoiser_channels=9)
    grey, everything = np.full((SIZE_PX, SIZE_PX, 3), 127.5), np.ones((SIZE_PX, SIZE_PX), dtype=np.float32)
    wanted = Wanted("ddim", family.texts, (SIZE_PX, SIZE_PX), picture=grey.astype(np.uint8), mask=everything)
    assert _decibel(family, family.latents(), wanted) > SAME_DB


def test_each_of_several_pictures_has_the_next_seed(families: Families) -> None:
    family = families("sd")
    wanted = Wanted("euler_a", family.texts, (SIZE_PX, SIZE_PX), seeds=(7, 8, 9))
    assert _decibel(family, family.latents(scheduler="euler_a", num_images=3), wanted) > SAME_DB


@pytest.mark.parametrize("architecture", ["sd", "sdxl", "sd3"])
def test_guidance_1_is_no_guidance(families: Families, architecture: Architecture) -> None:
    family = families(architecture)
    scheduler = scheduler_names(architecture)[0]
    wanted = Wanted(scheduler, family.texts, (SIZE_PX, SIZE_PX), guidance_scale=1.0)
    assert _decibel(family, family.latents(scheduler=scheduler, guidance_scale=1.0), wanted) > SAME_DB


@pytest.mark.parametrize("architecture", ["sd", "sdxl"])
def test_guidance_rescale_is_diffusers_own(families: Families, architecture: Architecture) -> None:
    family = families(architecture)
    wanted = Wanted("ddim", family.texts, (SIZE_PX, SIZE_PX), more={"guidance_rescale": 0.7})
    assert _decibel(family, family.latents(guidance_rescale=0.7), wanted) > SAME_DB


def test_guidance_ends_as_with_diffusers_cutoff_callback(families: Families) -> None:
    """Theirs ends after the step its share of the steps leads to: 3 of 6 are guided."""
    family = families("sd")
    ends = SDCFGCutoffCallback(cutoff_step_ratio=2 / 6)
    wanted = Wanted("euler", family.texts, (SIZE_PX, SIZE_PX), more={"callback_on_step_end": ends})
    assert _decibel(family, family.latents(scheduler="euler", guidance_end=0.5), wanted) > SAME_DB


@pytest.mark.parametrize("scheduler", scheduler_names("sd"))
def test_v_prediction_is_diffusers_own(families: Families, scheduler: str) -> None:
    family = _with_config(families("sd"), prediction_type="v_prediction", timestep_spacing="trailing")
    assert _likeness(family, scheduler) > SAME_DB


def test_the_schedule_of_sd3_shifts_with_the_size_where_its_configuration_says_so(families: Families) -> None:
    family = _with_config(families("sd3"), use_dynamic_shifting=True)
    wanted = Wanted("flow_euler", family.texts, (24, 40))
    assert _decibel(family, family.latents(scheduler="flow_euler", width=24, height=40), wanted) > SAME_DB


def test_pictures_need_not_be_square(families: Families) -> None:
    family = families("sd")
    wanted = Wanted("dpmpp_2m", family.texts, (24, 40))
    assert _decibel(family, family.latents(scheduler="dpmpp_2m", width=24, height=40), wanted) > SAME_DB


@pytest.mark.parametrize(
    "change",
    [{"seed": 8}, {"guidance_scale": 4.5}, {"steps": 7}, {"guidance_rescale": 0.7}, {"scheduler": "dpmpp_2m"}],
    ids=str,
)
def test_the_bar_tells_settings_apart(families: Families, change: dict[str, Any]) -> None:
    family = families("sd")
    pictures = [decoded(family.networks.decode_latents, family.latents(**settings)) for settings in ({}, change)]
    assert psnr(*pictures) < SAME_DB - 20


def _likeness(
    family: SmallFamily, scheduler: str, strength: float = 1.0, picture: Any = None, mask: Any = None
) -> float:
    """Of two pictures with seeds 7 and 8, so that what stochastic schedulers draw is drawn by each for itself."""
    more = {} if picture is None else {"strength": strength}
    wanted = Wanted(scheduler, family.texts, (SIZE_PX, SIZE_PX), seeds=(7, 8), picture=picture, mask=mask, more=more)
    ours = family.latents(scheduler=scheduler, num_images=2, strength=strength, init_image=picture, mask_image=mask)
    return _decibel(family, ours, wanted)


def _decibel(family: SmallFamily, ours: Any, wanted: Wanted) -> float:
    theirs = reference_latents(family.folder, family.architecture, family.config, wanted)
    decode = family.networks.decode_latents
    return psnr(decoded(decode, ours), decoded(decode, theirs))


def _with_config(family: SmallFamily, **changes: Any) -> SmallFamily:
    return SmallFamily(family.folder, family.architecture, {**family.config, **changes})
