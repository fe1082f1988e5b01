"""Pictures that come with a request: what is painted on."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelcore.errors import InvalidInput, TooLarge, TriptychError, UnsupportedFormat
from tests.picture_requests import encoded, noise_pixels, parse

_ORIENTATION = 0x0112


def mask(width: int, height: int, value: int = 255) -> bytes:
    return encoded(np.full((height, width), value, np.uint8))


def borders(*values: int) -> Any:
    return np.array(values, np.int32)


def refused(**values: Any) -> TriptychError:
    with pytest.raises((InvalidInput, TooLarge, UnsupportedFormat)) as caught:
        parse(**values)
    return caught.value


def test_a_picture_of_an_allowed_size_is_taken_pixel_by_pixel() -> None:
    pixels = noise_pixels(72, 96)
    request = parse(init_image=encoded(pixels))
    assert (request.width, request.height) == (72, 96)
    np.testing.assert_array_equal(request.init_image, pixels)


def test_a_picture_is_resized_to_the_size_that_is_asked_for_as_diffusers_does() -> None:
    pixels = noise_pixels(100, 80)
    request = parse(init_image=encoded(pixels), width=64, height=128)
    wanted = Image.fromarray(pixels).resize((64, 128), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(request.init_image, np.asarray(wanted))


@pytest.mark.parametrize(
    ("given", "fitted"),
    [((102, 80), (104, 80)), ((512, 384), (256, 192)), ((1000, 500), (256, 128)), ((20, 30), (64, 96))],
)
def test_a_picture_of_any_size_is_fitted_into_the_limits(given: tuple[int, int], fitted: tuple[int, int]) -> None:
    request = parse(init_image=encoded(noise_pixels(*given)))
    assert (request.width, request.height) == fitted
    assert request.init_image is not None
    assert request.init_image.shape == (fitted[1], fitted[0], 3)


def test_a_picture_longer_than_the_limits_allow_is_squeezed() -> None:
    request = parse(init_image=encoded(noise_pixels(800, 50)))
    assert (request.width, request.height) == (256, 64)


def test_a_picture_lying_on_its_side_is_put_upright() -> None:
    pixels = noise_pixels(96, 72)
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    request = parse(init_image=encoded(pixels, exif=exif))
    np.testing.assert_array_equal(request.init_image, np.rot90(pixels, -1))


def test_a_mask_is_the_share_to_paint() -> None:
    values = np.repeat(np.array([[0, 51, 255]], np.uint8), 64, axis=0).repeat(24, axis=1)
    request = parse(init_image=encoded(noise_pixels(72, 64)), mask_image=encoded(values))
    np.testing.assert_array_equal(request.mask_image, values.astype(np.float32) / 255)


def test_a_mask_is_resized_with_its_picture() -> None:
    request = parse(init_image=encoded(noise_pixels(100, 80)), mask_image=mask(100, 80), width=64, height=64)
    np.testing.assert_array_equal(request.mask_image, np.ones((64, 64), np.float32))


def test_what_is_masked_is_painted_from_nothing_unless_told_otherwise() -> None:
    picture = encoded(noise_pixels(64, 64))
    assert parse(init_image=picture, mask_image=mask(64, 64)).strength == 1.0
    assert parse(init_image=picture, mask_image=mask(64, 64), strength=0.5).strength == 0.5


def test_a_mask_of_another_size_is_refused_with_both_sizes() -> None:
    error = refused(init_image=encoded(noise_pixels(64, 64)), mask_image=mask(64, 72))
    assert error.field == "mask_image"
    assert "64 x 64 pixels: 64 x 72" in error.detail


@pytest.mark.parametrize("name", ["mask_image", "outpaint"])
def test_what_goes_with_a_picture_is_refused_without_one(name: str) -> None:
    given = {"mask_image": mask(64, 64), "outpaint": borders(8, 8, 8, 8)}
    error = refused(**{name: given[name]})
    assert (error.field, "goes with init_image" in error.detail) == (name, True)


@pytest.mark.parametrize("name", ["init_image", "mask_image"])
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", InvalidInput),
        (b"GIF89a", UnsupportedFormat),
        (encoded(noise_pixels(64, 64))[:500], InvalidInput),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), InvalidInput),
        (bytes(10 * 2**20 + 1), TooLarge),
    ],
)
def test_a_broken_picture_is_refused_by_its_own_name(name: str, data: bytes, kind: type[TriptychError]) -> None:
    error = refused(**{"init_image": encoded(noise_pixels(64, 64)), name: data})
    assert (type(error), error.field, error.detail.startswith(f"{name}: ")) == (kind, name, True)


def test_outpainting_puts_the_picture_into_a_larger_one() -> None:
    pixels = noise_pixels(64, 72)
    request = parse(init_image=encoded(pixels), outpaint=borders(8, 16, 24, 32))
    assert (request.width, request.height) == (96, 120)
    assert request.init_image is not None
    np.testing.assert_array_equal(request.init_image[16:88, 8:72], pixels)


def test_outpainting_paints_the_borders_alone() -> None:
    request = parse(init_image=encoded(noise_pixels(64, 72)), outpaint=borders(8, 16, 24, 32))
    wanted = np.ones((120, 96), np.float32)
    wanted[16:88, 8:72] = 0
    np.testing.assert_array_equal(request.mask_image, wanted)
    assert request.strength == 1.0


def test_outpainting_smears_the_edges_into_the_borders() -> None:
    pixels = noise_pixels(64, 64)
    request = parse(init_image=encoded(pixels), outpaint=borders(0, 8, 0, 0))
    assert request.init_image is not None
    np.testing.assert_array_equal(request.init_image[:8], np.broadcast_to(pixels[0], (8, 64, 3)))


def test_a_mask_may_add_to_what_is_outpainted() -> None:
    picture, inside = encoded(noise_pixels(64, 64)), mask(64, 64, 102)
    request = parse(init_image=picture, mask_image=inside, outpaint=borders(8, 0, 0, 0))
    assert request.mask_image is not None
    np.testing.assert_allclose(request.mask_image[0, 7:9], [1, 0.4])


def test_a_picture_of_any_size_may_be_outpainted_to_an_allowed_one() -> None:
    request = parse(init_image=encoded(noise_pixels(50, 45)), outpaint=borders(7, 10, 15, 9))
    assert (request.width, request.height) == (72, 64)


@pytest.mark.parametrize("values", [(0, 0, 0, 0), (-8, 16, 0, 0), (257, 0, 0, 0)])
def test_borders_that_are_none_are_refused(values: tuple[int, ...]) -> None:
    error = refused(init_image=encoded(noise_pixels(64, 64)), outpaint=borders(*values))
    assert (error.field, "between 0 and 256 pixels" in error.detail) == ("outpaint", True)


def test_outpainting_to_a_size_that_is_not_allowed_names_the_nearest() -> None:
    error = refused(init_image=encoded(noise_pixels(64, 64)), outpaint=borders(9, 0, 0, 0))
    assert error.field == "outpaint"
    assert "width must be a multiple of 8 between 64 and 256: 73; nearest: 72 or 80" in error.detail


def test_a_size_beside_outpaint_must_be_the_one_it_makes() -> None:
    picture = encoded(noise_pixels(64, 64))
    assert parse(init_image=picture, outpaint=borders(8, 0, 0, 0), width=72, height=64).width == 72
    error = refused(init_image=picture, outpaint=borders(8, 0, 0, 0), width=64)
    assert (error.field, "left out, or 72" in error.detail) == ("width", True)


def test_keeping_what_is_not_masked_takes_a_mask() -> None:
    picture = encoded(noise_pixels(64, 64))
    error = refused(init_image=picture, keep_unmasked=np.array([True]))
    assert (error.field, "goes with mask_image or outpaint" in error.detail) == ("keep_unmasked", True)
    assert parse(init_image=picture, outpaint=borders(8, 0, 0, 0), keep_unmasked=np.array([True])).keep_unmasked
