from contextlib import suppress
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcore.diffusion.encoding import ENCODERS
from modelcore.diffusion.request import OUTPUT_FORMATS, PictureRequest
from modelcore.errors import InvalidInput
from modelcore.family import Architecture
from tests.picture_requests import encoded, noise_pixels, parse

FIELDS = [*sorted(field.name for field in fields(PictureRequest)), "outpaint"]
ODD_ARRAYS = st.sampled_from(["i1", "i4", "u8", "f2", "f4", "f8", "c8", "?", "S3", "U3", "O", "M8[s]", "V2"]).flatmap(
    lambda kind: st.sampled_from([(), (0,), (1,), (4,), (1, 1)]).map(lambda shape: np.zeros(shape, kind))
)


def refused(architecture: Architecture = "sd", **values: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse(architecture, **values)
    return caught.value


def test_what_is_left_out_is_the_family_s_default() -> None:
    request = parse()
    assert (request.steps, request.guidance_scale, request.width, request.height) == (20, 3.0, 128, 128)
    assert (request.scheduler, request.num_images, request.negative_prompt) == ("ddim", 1, "")
    assert (request.init_image, request.mask_image, request.strength) == (None, None, 0.8)
    assert (request.variation_seed, request.variation_strength) == (None, 0.0)
    assert (request.guidance_rescale, request.guidance_end, request.clip_skip) == (0.0, 1.0, 0)
    assert (request.preview_every, request.output_format, request.output_quality) == (0, "png", None)


def test_what_is_asked_for_is_taken() -> None:
    request = parse(
        prompt="ein (rotes:1.2) Ürümqi\n🙂",
        negative_prompt="blur",
        steps=7,
        guidance_scale=30.0,
        seed=2**63 - 1,
        width=256,
        height=64,
        scheduler="euler_a",
        num_images=4,
        strength=1.0,
        variation_seed=5,
        variation_strength=0.25,
        guidance_rescale=0.5,
        guidance_end=0.5,
        clip_skip=1,
        preview_every=2,
        output_format="webp",
        output_quality=0,
    )
    assert (request.prompt, request.negative_prompt) == ("ein (rotes:1.2) Ürümqi\n🙂", "blur")
    assert (request.steps, request.guidance_scale, request.seed) == (7, 30.0, 2**63 - 1)
    assert (request.width, request.height, request.scheduler, request.num_images) == (256, 64, "euler_a", 4)
    assert (request.strength, request.variation_seed, request.variation_strength) == (1.0, 5, 0.25)
    assert (request.guidance_rescale, request.guidance_end, request.clip_skip) == (0.5, 0.5, 1)
    assert (request.preview_every, request.output_format, request.output_quality) == (2, "webp", 0)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("steps", 0, "steps must be between 1 and 50: 0"),
        ("steps", -1, "steps must be between 1 and 50: -1"),
        ("steps", 10**9, "steps must be between 1 and 50: 1000000000"),
        ("num_images", 0, "num_images must be between 1 and 4: 0"),
        ("num_images", 5, "num_images must be between 1 and 4: 5"),
        ("guidance_scale", float("nan"), "guidance_scale must be a finite number: nan"),
        ("guidance_scale", float("inf"), "guidance_scale must be a finite number: inf"),
        ("guidance_scale", -0.5, "guidance_scale must be between 0 and 30: -0.5"),
        ("guidance_scale", 30.5, "guidance_scale must be between 0 and 30: 30.5"),
        ("guidance_rescale", 1.5, "guidance_rescale must be between 0 and 1: 1.5"),
        ("guidance_end", -0.1, "guidance_end must be between 0 and 1: -0.1"),
        ("strength", 0.0, "strength must be more than 0"),
        ("strength", 1.1, "strength must be between 0 and 1: 1.1"),
        ("strength", float("nan"), "strength must be a finite number: nan"),
        ("seed", -2, "seed must be between -1 and 9223372036854775807: -2"),
        ("variation_strength", 2.0, "variation_strength must be between 0 and 1: 2"),
        ("clip_skip", 2, "clip_skip must be between 0 and 1: 2"),
        ("preview_every", -1, "preview_every must be between 0 and 50: -1"),
        ("output_format", "gif", "output_format must be one of png, jpeg, webp: 'gif'"),
        ("output_format", "", "output_format must be one of png, jpeg, webp: ''"),
        ("scheduler", "ddpm", "scheduler must be one of ddim, pndm, euler,"),
        ("scheduler", "flow_euler", "scheduler must be one of ddim, pndm, euler,"),
        ("scheduler", "x" * 65, "scheduler may have 64 characters: 65"),
        ("width", 513, "width must be a multiple of 8 between 64 and 256: 513; nearest: 256"),
        ("width", 129, "width must be a multiple of 8 between 64 and 256: 129; nearest: 128 or 136"),
        ("height", 193, "height must be a multiple of 8 between 64 and 192: 193; nearest: 192"),
        ("height", 0, "height must be a multiple of 8 between 64 and 192: 0; nearest: 64"),
        ("width", -8, "width must be a multiple of 8 between 64 and 256: -8; nearest: 64"),
        ("width", 2**31 - 1, "nearest: 256"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name_with_the_bounds(field: str, value: Any, told: str) -> None:
    error = refused(**{field: value})
    assert (error.field, told in error.detail) == (field, True), error.detail


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("prompt", "", "must not be empty"),
        ("prompt", " \n\t ", "must not be empty"),
        ("prompt", "(())", "must not be empty"),
        ("prompt", "x" * 2001, "may have 2000 characters: 2001"),
        ("prompt", "x" * 2**20, "may have 8192 bytes: 1048576"),
        ("negative_prompt", "x" * 2**20, "may have 8192 bytes: 1048576"),
        ("prompt", "a\0b", "control character U+0000 at character 1"),
        ("negative_prompt", "a\x1b[31m", "control character U+001B at character 1"),
        ("prompt", "a\x85b", "control character U+0085"),
        ("prompt", b"\xff\xfe", "must be UTF-8 text: byte 0 is not"),
        ("prompt", b"\xed\xa0\x80", "must be UTF-8 text"),  # a lone surrogate
        ("prompt", "(red:99)", "weighs a word by 99; weights must be between 0 and 10"),
        ("negative_prompt", "(red:-1)", "weighs a word by -1"),
    ],
)
def test_a_text_that_is_none_is_refused(field: str, value: Any, told: str) -> None:
    error = refused(**{field: value})
    assert (error.field, told in error.detail) == (field, True), error.detail


def test_a_prompt_that_is_missing_is_refused() -> None:
    assert refused(prompt=None).field == "prompt"


def test_no_refusal_repeats_more_than_a_little_of_what_came() -> None:
    for field in ("prompt", "negative_prompt", "scheduler", "output_format"):
        assert "y" * 65 not in refused(**{field: "y" * 2**20}).detail


@pytest.mark.parametrize(
    ("field", "array"),
    [
        ("steps", np.array([20.0], np.float32)),
        ("steps", np.array([True])),
        ("steps", np.array([b"20"], object)),
        ("steps", np.array([1, 2], np.int32)),
        ("steps", np.array([], np.int32)),
        ("steps", np.array([[20]], np.int32)),
        ("guidance_scale", np.array([b"7"], object)),
        ("guidance_scale", np.array([True])),
        ("guidance_scale", np.zeros((2,), np.float32)),
        ("seed", np.array([1.5], np.float64)),
        ("prompt", np.array([1], np.int32)),
        ("prompt", np.array(["a str"], object)),
        ("prompt", np.array([b"a", b"b"], object)),
        ("scheduler", np.array([None], object)),
        ("init_image", np.zeros((4, 4, 3), np.uint8)),
        ("outpaint", np.array([8, 8], np.int32)),
        ("outpaint", np.array([8.0, 8, 8, 8], np.float32)),
    ],
)
def test_a_tensor_of_another_type_or_shape_is_refused(field: str, array: Any) -> None:
    given = {"init_image": encoded(noise_pixels(64, 64)), field: array}
    assert refused(**given).field == field


def test_numbers_are_what_their_sender_wrote() -> None:
    assert parse(guidance_scale=7.3).guidance_scale == 7.3


def test_whole_numbers_are_numbers() -> None:
    assert parse(guidance_scale=7).guidance_scale == 7.0


def test_a_seed_is_chosen_where_none_is_given() -> None:
    seeds = {parse(**given).seed for given in ({}, {"seed": -1}, {}, {"seed": -1})}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_seed_zero_is_a_seed() -> None:
    assert parse(seed=0).seed == 0


def test_a_variation_without_its_seed_gets_one() -> None:
    seed = parse(variation_strength=0.1).variation_seed
    assert seed is not None
    assert seed >= 0


def test_a_variation_seed_alone_says_too_little() -> None:
    assert refused(variation_seed=3).field == "variation_strength"


def test_a_variation_of_no_strength_is_none() -> None:
    request = parse(variation_seed=3, variation_strength=0.0)
    assert (request.variation_seed, request.variation_strength) == (None, 0.0)


@pytest.mark.parametrize("architecture", ["sdxl", "sd3"])
def test_only_sd_can_skip_a_layer(architecture: Architecture) -> None:
    assert parse(architecture, clip_skip=0).clip_skip == 0
    assert refused(architecture, clip_skip=1).field == "clip_skip"


def test_sd3_takes_its_own_scheduler_only() -> None:
    assert "flow_euler" in refused("sd3", scheduler="ddim").detail


def test_sd3_needs_an_even_number_of_latents() -> None:
    error = refused("sd3", width=136)
    assert "width must be a multiple of 16 between 64 and 256: 136; nearest: 128 or 144" in error.detail


def test_one_request_may_not_be_all_its_limits_at_once() -> None:
    error = refused(width=256, height=192, steps=50, num_images=4)
    assert error.field == "steps"
    assert "steps 12 would do, or num_images 1" in error.detail


def test_the_largest_picture_at_the_most_steps_is_within_the_budget() -> None:
    assert parse(width=256, height=192, steps=50).steps == 50


@settings(deadline=None)
@given(field=st.sampled_from(FIELDS), array=ODD_ARRAYS)
def test_no_tensor_is_a_fault(field: str, array: Any) -> None:
    with suppress(InvalidInput):
        assert isinstance(parse(**{field: array}), PictureRequest)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_is_a_fault(text: str) -> None:
    data = text.encode("utf-8", errors="surrogatepass")
    with suppress(InvalidInput):
        assert parse(prompt=data).prompt == text


@pytest.mark.parametrize(("output_format", "quality"), [("png", 80), ("jpeg", 101), ("webp", -1)])
def test_a_quality_that_no_such_file_has_is_refused(output_format: str, quality: int) -> None:
    assert refused(output_format=output_format, output_quality=quality).field == "output_quality"


def test_every_output_format_has_its_encoder() -> None:
    assert set(OUTPUT_FORMATS) == set(ENCODERS)
