"""Pictures that were sent, as they are kept: encoded anew, to the very pixels, with nothing else in the file."""

import io

import numpy as np
import pytest
from PIL import Image

from modelcore.errors import InvalidInput
from modelcore.images import PictureLimits, decode
from modelcore.picture_files import read_picture_file
from orchestrator.pictures.parcels import parcels_of, reencoded
from tests.odd_pictures import encoded, odd_pictures

LIMITS = PictureLimits()


def grain(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("name", odd_pictures())
def test_a_picture_is_kept_in_the_pixels_that_it_is_decoded_to(name: str) -> None:
    sent, _ = odd_pictures()[name]
    kept = reencoded(sent)
    assert kept.media_type == "image/png"
    np.testing.assert_array_equal(np.asarray(decode(kept.data, LIMITS)), np.asarray(decode(sent, LIMITS)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_nothing_is_kept_that_only_describes_it(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "where I live"
    kept = reencoded(encoded(grain(30, 20), kind, exif=exif, icc_profile=b"a profile"))
    with Image.open(io.BytesIO(kept.data)) as picture:
        assert (picture.size, picture.info, len(picture.getexif())) == ((20, 30), {}, 0)
    assert b"where I live" not in kept.data


def test_what_is_hidden_behind_the_picture_is_not_kept() -> None:
    assert b"PK\x03\x04" not in reencoded(encoded(grain(30, 20), "JPEG") + b"PK\x03\x04 an archive").data


@pytest.mark.parametrize(("kind", "quality"), [("JPEG", 20), ("WEBP", 20)])
def test_what_would_be_too_large_to_be_read_again_becomes_a_fine_jpeg(kind: str, quality: int) -> None:
    sent = encoded(grain(2600, 2000), kind, quality=quality)
    kept = reencoded(sent)
    told = read_picture_file(kept.data)
    assert (kept.media_type, told.width_px, told.height_px) == ("image/jpeg", 2600, 2000)
    assert len(kept.data) <= LIMITS.max_bytes
    change = np.asarray(decode(kept.data, LIMITS)).astype(int) - np.asarray(decode(sent, LIMITS))
    assert np.abs(change).mean() < 4.0  # of 255, and nothing is harder to encode than noise


def test_a_picture_that_is_broken_further_in_is_refused() -> None:
    sent = encoded(grain(300, 200))
    with pytest.raises(InvalidInput):
        reencoded(sent[:200] + sent[-12:])


async def test_a_picture_of_the_gallery_stays_as_it_is() -> None:
    ours, sent = encoded(grain(30, 20), "JPEG"), encoded(grain(30, 20), "JPEG", quality=50)
    kept = await parcels_of({"init_image": ours, "mask_image": sent}, sent=("mask_image",))
    assert (kept["init_image"].data, kept["init_image"].media_type) == (ours, "image/jpeg")
    assert kept["mask_image"].media_type == "image/png"
