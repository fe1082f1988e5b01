"""One picture in flight, with a denoiser of one line: what it asks, and what it makes of the answer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modelcore.diffusion.conditioning import Conditioning
from modelcore.diffusion.networks import Floats, LatentFacts, Networks, latent_facts
from modelcore.diffusion.row import Group, Row
from modelcore.diffusion.scheduler_names import scheduler_names
from modelcore.diffusion.schedulers import Schedulers
from modelcore.diffusion.tasks import make_rows
from modelcore.errors import InternalFault, InvalidInput, SetupProblem
from tests.diffusion_rows import SD_CONFIG, SIZE_PX, TOKENS, box_mask, picture_request, random_picture, random_texts

FACTS = LatentFacts("sd", channels=4, pixels_per_cell=2, denoiser_channels=4)
INPAINTING = LatentFacts("sd", channels=4, pixels_per_cell=2, denoiser_channels=9)
CELLS = SIZE_PX // 2
SCHEDULERS = Schedulers(SD_CONFIG, "sd")
NEGATIVE, POSITIVE = random_texts("sd")


def test_a_guided_row_asks_without_and_with_its_prompt() -> None:
    inputs = _row().inputs()
    assert inputs["encoder_hidden_states"].shape == (2, TOKENS, 24)
    np.testing.assert_array_equal(inputs["encoder_hidden_states"][0], NEGATIVE["encoder_hidden_states"])
    np.testing.assert_array_equal(inputs["encoder_hidden_states"][1], POSITIVE["encoder_hidden_states"])
    np.testing.assert_array_equal(inputs["latents"][0], inputs["latents"][1])


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_guidance_of_1_and_less_takes_one_slot(scale: float) -> None:
    assert _row(guidance_scale=scale).slots == 1


def test_without_guidance_a_row_asks_with_its_prompt() -> None:
    inputs = _row(guidance_scale=1.0).inputs()
    np.testing.assert_array_equal(inputs["encoder_hidden_states"][0], POSITIVE["encoder_hidden_states"])


def test_a_model_with_distilled_guidance_is_never_guided_again() -> None:
    facts = LatentFacts("sd", 4, 2, denoiser_channels=4, is_guidance_distilled=True)
    assert _row(facts, guidance_scale=8.0).slots == 1


def test_guidance_can_end_early() -> None:
    row = _row(steps=4, guidance_end=0.5)
    slots = []
    while not row.is_done:
        slots.append(row.slots)
        row.advance(_denoised(row.inputs()))
    assert slots == [2, 2, 1, 1]


def test_guidance_goes_from_the_negative_through_the_prompt_and_on() -> None:
    """negative 1, prompt 3, scale 4: the same step as from an unguided 1 + 4 x 2."""
    guided, told = _row(guidance_scale=4.0), _row(guidance_scale=1.0)
    guided.advance(np.stack([np.full((4, CELLS, CELLS), value, dtype=np.float32) for value in (1.0, 3.0)]))
    told.advance(np.full((1, 4, CELLS, CELLS), 9.0, dtype=np.float32))
    np.testing.assert_array_equal(guided.latents, told.latents)


def test_rescaled_guidance_has_the_contrast_of_the_prompt_alone() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, 4, CELLS, CELLS)).astype(np.float32)
    rescaled, told = _row(guidance_rescale=1.0), _row(guidance_scale=1.0)
    mixed = noise[0] + 4 * (noise[1] - noise[0])
    rescaled.advance(noise)
    told.advance((mixed / mixed.std(ddof=1) * noise[1].std(ddof=1))[None])
    np.testing.assert_allclose(rescaled.latents, told.latents, atol=1e-5)


@pytest.mark.parametrize(
    ("facts", "channels"), [(FACTS, 4), (INPAINTING, 9)], ids=["plain denoiser", "inpainting denoiser"]
)
def test_a_group_tells_shapes_apart(facts: LatentFacts, channels: int) -> None:
    assert _row(facts, width=24, height=40).group == Group(channels, height=20, width=12, tokens=TOKENS)


def test_a_denoiser_that_reads_something_unknown_beside_the_latents_is_refused() -> None:
    with pytest.raises(SetupProblem, match="must read 4 channels"):
        latent_facts("sd", {"in_channels": 8}, {"block_out_channels": [8, 16], "latent_channels": 4})


def test_an_inpainting_denoiser_sees_latents_mask_and_masked_picture() -> None:
    given = {"init_image": random_picture(), "mask_image": box_mask()}
    seen = _row(INPAINTING, guidance_scale=1.0, **given).inputs()["latents"][0]
    mask = (box_mask() >= 0.5).astype(np.float32)
    hidden = np.where(mask < 0.5, (random_picture() / np.float32(255) * 2 - 1).transpose(2, 0, 1), 0)
    np.testing.assert_array_equal(seen[4], mask[::2, ::2])
    np.testing.assert_allclose(seen[5:8], hidden[:, ::2, ::2], atol=1e-6)


@pytest.mark.parametrize("scheduler", scheduler_names("sd"))
def test_a_row_comes_out_the_same_to_the_bit_alone_and_in_company(scheduler: str) -> None:
    alone = _painted(_row(scheduler=scheduler))
    company = [_row(scheduler=name, seed=seed) for seed, name in enumerate(scheduler_names("sd"))]
    mine = _row(scheduler=scheduler)
    while not mine.is_done:
        for row in (*company, mine):
            if not row.is_done:
                row.advance(_denoised(row.inputs()))
    np.testing.assert_array_equal(mine.latents, alone)


@pytest.mark.parametrize("scheduler", scheduler_names("sd"))
def test_the_answer_may_be_overwritten_once_a_row_has_taken_it(scheduler: str) -> None:
    """It is a view of the whole call's, and the memory may be the server's; schedulers remember what they were told."""
    row = _row(scheduler=scheduler, guidance_scale=1.0)
    while not row.is_done:
        answer = _denoised(row.inputs())
        answer.flags.writeable = False
        row.advance(answer)
        answer.flags.writeable = True
        answer[:] = np.nan
    np.testing.assert_array_equal(row.latents, _painted(_row(scheduler=scheduler, guidance_scale=1.0)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_no_number_is_the_rows_fault_and_names_its_seed(value: float) -> None:
    row = _row()
    with pytest.raises(InternalFault, match=r"of seed 7 came to no number: the denoiser's answer at call 1 of 6"):
        row.advance(np.full((2, 4, CELLS, CELLS), value, dtype=np.float32))


@pytest.mark.parametrize(("scheduler", "calls"), [("ddim", 6), ("heun", 11), ("pndm", 7)])
def test_a_caller_is_shown_the_steps_he_asked_for(scheduler: str, calls: int) -> None:
    row = _row(scheduler=scheduler)
    shown = []
    while not row.is_done:
        row.advance(_denoised(row.inputs()))
        shown.append(row.shown_step)
    assert (row.steps, row.shown_steps) == (calls, 6)
    assert shown == sorted(shown)
    assert shown[-1] == 6


@pytest.mark.parametrize("scheduler", scheduler_names("sd"))
def test_a_preview_foresees_the_picture_a_perfect_denoiser_leads_to(scheduler: str) -> None:
    """A denoiser that knows the one picture there is: whatever the noise, the estimate is that picture."""
    wanted = np.linspace(-1, 1, 4 * CELLS * CELLS, dtype=np.float32).reshape(4, CELLS, CELLS)
    row = _row(scheduler=scheduler, guidance_scale=1.0)
    kept = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    for _ in range(3):
        inputs = row.inputs()
        signal = np.interp(inputs["timestep"][0, 0], np.arange(1000), kept)
        row.advance(((inputs["latents"] - np.sqrt(signal) * wanted) / np.sqrt(1 - signal)).astype(np.float32))
        preview = row.preview()
        assert preview is not None
        np.testing.assert_allclose(preview, wanted, atol=2e-3)


def test_there_is_no_preview_before_the_first_answer() -> None:
    assert _row().preview() is None


def test_a_preview_of_an_inpainting_shows_the_original_beside_the_mask() -> None:
    row = _row(init_image=random_picture(), mask_image=box_mask())
    row.advance(_denoised(row.inputs()))
    preview = row.preview()
    kept = box_mask()[::2, ::2] < 0.5
    finished = _painted(row)
    assert preview is not None
    np.testing.assert_array_equal(preview[:, kept], finished[:, kept])


def test_each_picture_of_a_request_has_the_next_seed() -> None:
    assert [row.seed for row in _rows(num_images=3)] == [7, 8, 9]


def test_seeds_stay_within_a_signed_64_bit_integer() -> None:
    assert [row.seed for row in _rows(seed=2**63 - 1, num_images=2)] == [2**63 - 1, 0]


def test_variations_keep_the_seed_and_walk_to_the_next_variation_seed() -> None:
    rows = _rows(num_images=2, variation_seed=100, variation_strength=0.3)
    assert [(row.seed, row.variation_seed) for row in rows] == [(7, 100), (7, 101)]


def test_a_whole_walk_ends_at_the_other_seeds_picture() -> None:
    (there,) = _rows(variation_seed=8, variation_strength=1.0)
    np.testing.assert_allclose(_painted(there), _painted(_row(seed=8)), atol=1e-4)


def test_a_variation_seed_without_strength_changes_nothing() -> None:
    (same,) = _rows(variation_seed=8, variation_strength=0.0)
    np.testing.assert_array_equal(_painted(same), _painted(_row()))


def test_pictures_that_came_in_are_encoded_once_for_all_rows() -> None:
    encoded: list[Any] = []

    def encode(picture: Floats) -> tuple[Floats, Floats]:
        encoded.append(picture.shape)
        return _encoded(picture)

    _rows(INPAINTING, encode=encode, num_images=3, init_image=random_picture(), mask_image=box_mask())
    assert encoded == [(1, 3, SIZE_PX, SIZE_PX)] * 2


def test_a_strength_that_leaves_no_step_is_refused_with_one_that_does() -> None:
    with pytest.raises(InvalidInput, match=r"strength must be at least 0\.167") as caught:
        _rows(init_image=random_picture(), strength=0.1)
    assert caught.value.field == "strength"


def _row(facts: LatentFacts = FACTS, **changes: Any) -> Row:
    (row,) = _rows(facts, **changes)
    return row


def _rows(facts: LatentFacts = FACTS, encode: Any = None, **changes: Any) -> list[Row]:
    networks = Networks((), _denoised, encode or _encoded, lambda latents: latents)
    request = picture_request(**changes)
    negative = Conditioning(NEGATIVE) if request.guidance_scale > 1 else None
    return make_rows(request, Conditioning(POSITIVE), negative, networks=networks, schedulers=SCHEDULERS, facts=facts)


def _painted(row: Row) -> Floats:
    while not row.is_done:
        row.advance(_denoised(row.inputs()))
    return row.latents


def _denoised(inputs: Mapping[str, Floats]) -> Floats:
    """Answers each row by itself, and differently for each text."""
    words = inputs["encoder_hidden_states"].mean(axis=(1, 2))[:, None, None, None]
    noise: NDArray[np.float32] = (np.tanh(inputs["latents"][:, :4]) + words).astype(np.float32)
    return noise


def _encoded(picture: Floats) -> tuple[Floats, Floats]:
    """Every second pixel, and brightness for the fourth channel, exactly."""
    small = picture[:, :, ::2, ::2]
    mean = np.concatenate([small, small.mean(axis=1, keepdims=True)], axis=1)
    return mean, np.zeros_like(mean)
