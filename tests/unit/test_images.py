import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from modelcore.errors import InvalidInput, TooLarge, TriptychError, UnsupportedFormat
from modelcore.images import PictureLimits, check_header, decode, decode_opacity, encode_png

LIMITS = PictureLimits()
RAMP = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def png_with_size(width: int, height: int) -> bytes:
    """A header that promises a size, and no pixels behind it."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", body[4:]) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_a_png_comes_back_pixel_for_pixel() -> None:
    assert (np.asarray(decode(encode_png(Image.fromarray(RAMP)), LIMITS)) == RAMP).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_allowed_formats_are_read(kind: str) -> None:
    assert check_header(encoded(Image.fromarray(RAMP), kind), LIMITS).format == kind


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_refused_by_their_bytes(kind: str) -> None:
    with pytest.raises(UnsupportedFormat):
        decode(encoded(Image.fromarray(RAMP), kind), LIMITS)


def test_a_huge_picture_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(TooLarge, match="50000 x 50000"):
        check_header(png_with_size(50_000, 50_000), LIMITS)


def test_too_many_pixels_within_the_sides_are_refused() -> None:
    with pytest.raises(TooLarge, match="16777216 pixels"):
        check_header(png_with_size(8192, 4096), LIMITS)


def test_a_strip_is_refused() -> None:
    with pytest.raises(InvalidInput, match="20 times"):
        check_header(png_with_size(2100, 100), LIMITS)


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(TooLarge):
        check_header(b"x" * 11, PictureLimits(max_bytes=10))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("kept", [0, 1, 9, 33, 60])
def test_a_truncated_picture_is_a_domain_error(kind: str, kept: int) -> None:
    data = encoded(Image.effect_noise((64, 64), 50).convert("RGB"), kind)
    with pytest.raises(TriptychError):
        decode(data[:kept], LIMITS)


def test_a_broken_checksum_is_refused() -> None:
    data = bytearray(encode_png(Image.fromarray(RAMP)))
    data[data.index(b"IDAT") + 6] ^= 0xFF
    with pytest.raises(InvalidInput, match="damaged"):
        decode(bytes(data), LIMITS)


def test_exif_orientation_is_applied() -> None:
    picture = Image.fromarray(RAMP)
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned = decode(encoded(picture, exif=exif), LIMITS)
    assert (np.asarray(turned) == np.rot90(RAMP, k=-1)).all()


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    grey = Image.fromarray(np.array([[0, 257 * 100, 65535]], dtype=np.uint16))
    assert np.asarray(decode(encoded(grey), LIMITS))[0, :, 0].tolist() == [0, 100, 255]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    assert decode(encoded(Image.fromarray(RAMP).convert(mode)), LIMITS).mode == "RGB"


def test_cmyk_becomes_rgb() -> None:
    assert decode(encoded(Image.fromarray(RAMP).convert("CMYK"), "JPEG"), LIMITS).mode == "RGB"


def test_metadata_is_dropped() -> None:
    picture = decode(encoded(Image.fromarray(RAMP), "JPEG", comment=b"secret"), LIMITS)
    assert picture.info == {}


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_opacity_is_the_alpha_channel(kind: str) -> None:
    alpha = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    picture = Image.fromarray(np.dstack([RAMP, alpha]))
    lossless = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(decode_opacity(encoded(picture, kind, **lossless), LIMITS), alpha)


def test_a_palette_may_have_a_transparent_colour() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putpixel((1, 0), 1)
    opacity = decode_opacity(encoded(picture, transparency=1), LIMITS)
    assert np.asarray(opacity).tolist() == [[255, 0]]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_without_transparency_is_opaque(kind: str) -> None:
    assert decode_opacity(encoded(Image.fromarray(RAMP), kind), LIMITS).getextrema() == (255, 255)


def test_opacity_is_upright_as_the_picture_is() -> None:
    alpha = np.arange(24, dtype=np.uint8).reshape(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.fromarray(np.dstack([RAMP, alpha])), exif=exif)
    assert np.array_equal(decode_opacity(turned, LIMITS), np.rot90(alpha, -1))


def test_a_palette_picture_without_its_palette_is_damaged() -> None:
    """Pillow asserts that it is there."""
    header = struct.pack(">IIBBBBB", 64, 64, 8, 3, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(64) for _ in range(64)))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    with pytest.raises(InvalidInput, match="damaged"):
        decode_opacity(data, LIMITS)
