"""Encoded pictures to RGB and back, with hostile input in mind. Knows pixels and formats, no model and no server."""

import io
import struct
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

from modelcore.errors import InvalidInput, TooLarge, UnsupportedFormat

READABLE_FORMATS = ("PNG", "JPEG", "WEBP")

# Pillow says "broken" in many ways: truncated data, bad checksums, bad chunks, nonsense EXIF.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error)

# Pillow's own guard warns at 89 megapixels and raises at twice that; ours is stricter and names the limit.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class PictureLimits:
    """What a picture from outside may be; the defaults are the service's promise."""

    max_bytes: int = 10 * 1024 * 1024
    max_pixels: int = 16_777_216
    max_side_px: int = 8192
    max_aspect: int = 20


@dataclass(frozen=True)
class PictureHeader:
    format: str
    width_px: int
    height_px: int


def check_header(data: bytes, limits: PictureLimits) -> PictureHeader:
    """Format and size from the first bytes, refused before a single pixel is decoded."""
    if not data:
        raise InvalidInput("the picture is empty: 0 bytes", field="image")
    if len(data) > limits.max_bytes:
        raise TooLarge(f"the picture has {len(data)} bytes; at most {limits.max_bytes} are read", field="image")
    with _open(data) as picture:
        header = PictureHeader(picture.format or "", picture.width, picture.height)
    _check_size(header, limits)
    return header


def decode(data: bytes, limits: PictureLimits) -> Image.Image:
    """The first frame as RGB, upright, without any metadata."""
    check_header(data, limits)
    try:
        with _open(data) as picture:
            picture.load()
            return _to_rgb(ImageOps.exif_transpose(picture))
    except _DAMAGE as error:
        raise InvalidInput("the picture is damaged and cannot be decoded", field="image") from error


def encode_png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _open(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data), formats=READABLE_FORMATS)
    except (UnidentifiedImageError, *_DAMAGE) as error:
        if _looks_readable(data):
            raise InvalidInput("the picture's header is damaged", field="image") from error
        raise UnsupportedFormat("the picture must be PNG, JPEG or WebP", field="image") from error


def _looks_readable(data: bytes) -> bool:
    """By its first bytes; Pillow does not tell a broken PNG from something else altogether."""
    webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    return webp or data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))


def _check_size(header: PictureHeader, limits: PictureLimits) -> None:
    width, height = header.width_px, header.height_px
    size = f"{width} x {height} pixels"
    if min(width, height) < 1:
        raise InvalidInput(f"the picture has no pixels: {size}", field="image")
    if max(width, height) > limits.max_side_px:
        raise TooLarge(f"a side may have {limits.max_side_px} pixels: {size}", field="image")
    if width * height > limits.max_pixels:
        raise TooLarge(f"a picture may have {limits.max_pixels} pixels in all: {size}", field="image")
    if max(width, height) > limits.max_aspect * min(width, height):
        raise InvalidInput(f"a picture may be {limits.max_aspect} times longer than wide: {size}", field="image")


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16") or picture.mode == "I":
        # Pillow clips 16-bit greys to 255 when it converts; the eye expects them scaled.
        picture = picture.convert("I").point(lambda value: value / 257).convert("L")
    return Image.frombytes("RGB", picture.size, picture.convert("RGB").tobytes())
