"""Format, size and orientation from the bytes, compared with Pillow's own reading of the same files."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from modelcore.errors import InvalidInput, TriptychError
from modelcore.images import PictureLimits, decode
from modelcore.picture_files import MAX_PIECES, MAX_SCANS, exif_orientation, read_picture_file

LIMITS = PictureLimits()
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def picture(mode: str = "RGB", size: tuple[int, int] = (37, 23)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunks(*extra: bytes) -> bytes:
    """A sound PNG with these chunks behind its header."""
    plain = encoded(picture(), "PNG")
    return plain[:33] + b"".join(extra) + plain[33:]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "comment": b"hello"}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"save_all": True, "append_images": [Image.new("RGB", (37, 23))]}),
        ("WEBP", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
    ],
)
def test_format_and_size_are_those_that_pillow_reads(kind: str, options: dict[str, object]) -> None:
    file = read_picture_file(encoded(picture(), kind, **options))
    assert (file.format, file.width_px, file.height_px) == (kind, 37, 23)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    wanted = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert (np.asarray(decode(data, LIMITS)) == np.asarray(wanted)).all()


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGB"])
def test_a_jpeg_without_its_descriptions_has_the_same_pixels(mode: str) -> None:
    data = encoded(picture(mode), "JPEG", comment=b"hello", icc_profile=b"x" * 300)
    wanted = Image.open(io.BytesIO(data)).convert("RGB")
    assert (np.asarray(decode(data, LIMITS)) == np.asarray(wanted)).all()


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "1"])
def test_a_png_without_its_descriptions_has_the_same_pixels(mode: str) -> None:
    data = encoded(picture(mode), "PNG")
    wanted = Image.open(io.BytesIO(data)).convert("RGB")
    assert (np.asarray(decode(data, LIMITS)) == np.asarray(wanted)).all()


def test_compressed_texts_are_left_out_of_what_pillow_gets() -> None:
    bomb = chunk(b"zTXt", b"note\0\0" + zlib.compress(b"\0" * 1_000_000))
    assert b"zTXt" not in read_picture_file(with_chunks(*[bomb] * 60)).pixel_data


def test_an_animated_png_is_its_first_frame() -> None:
    data = encoded(picture(), "PNG", save_all=True, append_images=[Image.new("RGB", (37, 23))])
    assert (np.asarray(decode(data, LIMITS)) == np.asarray(picture())).all()


def test_too_many_chunks_are_refused() -> None:
    with pytest.raises(InvalidInput, match=f"more than {MAX_PIECES} pieces"):
        read_picture_file(with_chunks(*[chunk(b"tEXt", b"")] * MAX_PIECES))


def test_fill_bytes_are_left_out_of_what_pillow_gets() -> None:
    data = encoded(picture(), "JPEG")
    file = read_picture_file(data[:2] + b"\xff" * 8_000_000 + data[2:])
    assert len(file.pixel_data) <= len(data)


@pytest.mark.parametrize("kept", range(-12, 0))
def test_a_png_that_is_cut_before_its_end_is_refused(kept: int) -> None:
    with pytest.raises(InvalidInput):
        read_picture_file(encoded(picture(), "PNG")[:kept])


def test_a_broken_checksum_anywhere_is_refused() -> None:
    data = bytearray(encoded(picture(), "PNG"))
    data[-20:-16] = b"\0\0\0\0"  # the last data chunk's
    with pytest.raises(InvalidInput, match="damaged"):
        read_picture_file(bytes(data))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_no_prefix_of_a_file_is_anything_but_a_domain_error(kind: str) -> None:
    data = encoded(picture(), kind)
    for kept in range(len(data) - 1):
        try:
            decode(data[:kept], LIMITS)
        except TriptychError:
            continue
        # libjpeg and libwebp may do without the last bytes; a PNG may not.
        assert kind != "PNG"
        assert kept > len(data) - 20


def test_an_odd_orientation_means_upright() -> None:
    # Tag 282, a fraction by rights, given as text beside an orientation: Pillow fails when it writes this again.
    exif = b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHI4s", 0x0112, 3, 1, b"\x06\0\0\0")
    exif += struct.pack("<HHI4s", 0x011A, 2, 4, b"abc\0") + b"\0\0\0\0"
    assert exif_orientation(exif) == 6
    assert decode(encoded(picture(), "JPEG", exif=b"Exif\0\0" + exif), LIMITS).size == (23, 37)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_out_of_range_means_upright(value: int) -> None:
    exif = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, value, 0)
    assert exif_orientation(exif) == 1


@pytest.mark.parametrize("exif", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"XX*\0\x08\0\0\0"])
def test_broken_exif_means_upright(exif: bytes) -> None:
    assert exif_orientation(exif) == 1


def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded() -> None:
    """Each costs a walk over all pixels: 34 bytes for two milliseconds."""
    plain = encoded(picture(), "JPEG", progressive=True)
    last = plain.rindex(b"\xff\xda")
    bomb = plain[:-2] + plain[last:-2] * MAX_SCANS + plain[-2:]
    with pytest.raises(InvalidInput, match=f"{MAX_SCANS} scans"):
        read_picture_file(bomb)


def test_a_progressive_jpeg_is_read() -> None:
    with Image.open(io.BytesIO(plain := encoded(picture(), "JPEG", progressive=True))) as wanted:
        np.testing.assert_array_equal(np.asarray(decode(plain, LIMITS)), np.asarray(wanted.convert("RGB")))
