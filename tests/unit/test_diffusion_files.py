"""What a finished picture's file holds, read as AUTOMATIC1111's tools read it."""

import io
import json
import re

import numpy as np
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

from modelcore.diffusion.encoding import ENCODERS, encode_picture, encode_preview, to_pixels
from modelcore.diffusion.orders import with_kept_pixels
from modelcore.diffusion.parameters_text import parameters_text
from tests.fake_studio import picture_request

PIXELS = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
_FACT = re.compile(
    r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)'
)  # how their reader takes the last line apart


def text_of(**changes: object) -> str:
    return parameters_text(picture_request(**changes), 7, None, "demo", "0123456789abcdef")


def facts_of(text: str) -> dict[str, str]:
    return {
        name: json.loads(value) if value[:1] == '"' else value for name, value in _FACT.findall(text.splitlines()[-1])
    }


def test_the_text_has_the_form_of_automatic1111() -> None:
    assert text_of(negative_prompt="blue", steps=20, scheduler="euler_a", width=128, height=64) == (
        "a red circle\n"
        "Negative prompt: blue\n"
        "Steps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: 7, Size: 128x64, "
        "Model hash: 0123456789, Model: demo, RNG: CPU"
    )


def test_without_a_negative_prompt_its_line_is_left_out() -> None:
    assert "Negative" not in text_of()


def test_karras_is_told_as_the_schedule() -> None:
    facts = facts_of(text_of(scheduler="dpmpp_2m_karras"))
    assert (facts["Sampler"], facts["Schedule type"]) == ("DPM++ 2M", "Karras")


def test_strength_is_told_for_pictures_made_from_pictures_only() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    assert facts_of(text_of(init_image=picture, strength=0.6))["Denoising strength"] == "0.6"
    assert "Denoising strength" not in text_of(strength=0.6)


def test_clip_skip_is_counted_as_they_count() -> None:
    assert facts_of(text_of(clip_skip=1))["Clip skip"] == "2"


def test_the_walk_between_seeds_is_told() -> None:
    request = picture_request(variation_seed=5, variation_strength=0.25)
    facts = facts_of(parameters_text(request, 7, 9, "demo", ""))
    assert (facts["Variation seed"], facts["Variation seed strength"]) == ("9", "0.25")


def test_a_prompt_with_commas_and_colons_does_not_disturb_the_facts() -> None:
    facts = facts_of(text_of(prompt="a (red:1.3) circle, Steps: 5, a square"))
    assert facts["Steps"] == "3"


def test_png_keeps_the_pixels_and_the_text() -> None:
    with Image.open(io.BytesIO(encode_picture(PIXELS, "png", "ein Bär, 熊"))) as picture:
        assert np.array_equal(np.asarray(picture), PIXELS)
        assert picture.info == {"parameters": "ein Bär, 熊"}


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_jpeg_and_webp_keep_the_text_as_exif_user_comment(output_format: str) -> None:
    with Image.open(io.BytesIO(encode_picture(PIXELS, output_format, "ein Bär, 熊"))) as picture:
        comment = picture.getexif().get_ifd(0x8769)[0x9286]
        assert (picture.format, picture.size) == (output_format.upper(), (8, 8))
    assert comment == b"UNICODE\0" + "ein Bär, 熊".encode("utf-16-be")


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
def test_less_quality_is_a_smaller_file(output_format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    sizes = [len(encode_picture(noise, output_format, "", quality)) for quality in (0, 50, 100)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("output_format", ENCODERS)
def test_the_same_picture_gives_the_same_bytes(output_format: str) -> None:
    assert encode_picture(PIXELS, output_format, "x") == encode_picture(PIXELS, output_format, "x")


def test_a_preview_is_a_small_jpeg() -> None:
    with Image.open(io.BytesIO(encode_preview(PIXELS))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (8, 8))


def test_pixels_are_rounded_as_diffusers_rounds_them() -> None:
    decoded = torch.linspace(-1.3, 1.3, 3 * 64 * 64).reshape(1, 3, 64, 64)
    (wanted,) = VaeImageProcessor().postprocess(decoded, output_type="pil")
    assert np.array_equal(to_pixels(decoded[0].numpy()), np.asarray(wanted))


@pytest.mark.parametrize(("keeps", "beside"), [(True, 10), (False, 200)])
def test_pixels_beside_the_mask_are_the_pictures_own_where_asked(keeps: bool, beside: int) -> None:
    mask = np.zeros((4, 4), np.float32)
    mask[:, 2:], mask[0, 0] = 1, 0.5
    original, painted = (np.full((4, 4, 3), value, np.uint8) for value in (10, 200))
    request = picture_request(init_image=original, mask_image=mask, keep_unmasked=keeps)
    pixels = with_kept_pixels(painted, request)
    assert (pixels[1:, :2] == beside).all()
    assert (pixels[:, 2:] == 200).all()
    assert (pixels[0, 0] == (105 if keeps else 200)).all()
