"""Encoded pictures to RGB and back, with hostile input in mind. Knows pixels, no model and no server."""

import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from modelcore.errors import InvalidInput, TooLarge
from modelcore.picture_files import PictureFile, read_picture_file

READABLE_FORMATS = ("PNG", "JPEG", "WEBP")

# Pillow says "broken" in many ways: truncated data, bad compression, values out of range, a palette that is not there.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, AssertionError, struct.error)
# EXIF's orientation -> what makes the picture upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow's own guard warns at 89 megapixels and raises at twice that; ours is stricter and names the limit.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class PictureLimits:
    """What a picture from outside may be; the defaults are the service's promise."""

    max_bytes: int = 10 * 1024 * 1024
    max_pixels: int = 16_777_216
    max_side_px: int = 8192
    max_aspect: int = 20


def check_header(data: bytes, limits: PictureLimits) -> PictureFile:
    """Format and size, refused before a single pixel is decoded. Milliseconds, whatever the bytes are."""
    if not data:
        raise InvalidInput("the picture is empty: 0 bytes", field="image")
    if len(data) > limits.max_bytes:
        raise TooLarge(f"the picture has {len(data)} bytes; at most {limits.max_bytes} are read", field="image")
    file = read_picture_file(data)
    _check_size(file, limits)
    return file


def decode(data: bytes, limits: PictureLimits) -> Image.Image:
    """The first frame as RGB, upright, without any metadata."""
    return _decoded(data, limits, _to_rgb)


def decode_opacity(data: bytes, limits: PictureLimits) -> Image.Image:
    """How opaque each pixel of it is, upright: from 0, which shows nothing of it, to 255."""
    return _decoded(data, limits, _to_opacity)


def encode_png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _decoded(data: bytes, limits: PictureLimits, take: Callable[[Image.Image], Image.Image]) -> Image.Image:
    file = check_header(data, limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(file.pixel_data), formats=(file.format,)) as picture:
                _check_unchanged(picture, file)
                taken = take(picture)
    except _DAMAGE as error:
        raise InvalidInput("the picture is damaged and cannot be decoded", field="image") from error
    taken.info = {}
    return taken.transpose(_UPRIGHT[file.orientation]) if file.orientation in _UPRIGHT else taken


def _check_unchanged(picture: Image.Image, file: PictureFile) -> None:
    """The size that was checked must be the size that will be decoded."""
    if picture.size != (file.width_px, file.height_px):
        raise InvalidInput("the picture is damaged: it states two sizes", field="image")


def _check_size(file: PictureFile, limits: PictureLimits) -> None:
    width, height = file.width_px, file.height_px
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
    return picture.convert("RGB") if picture.mode != "RGB" else picture.copy()


def _to_opacity(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return Image.new("L", picture.size, 255)
    return picture.convert("RGBA").getchannel("A")
