"""Pictures on their way into the store, which keeps nothing but encodings of our own: no metadata, nothing hidden."""

import asyncio
from collections.abc import Collection, Mapping
from io import BytesIO

from PIL import Image

from modelcore.errors import TooLarge
from modelcore.images import PictureLimits, check_header, decode, encode_png
from modelcore.picture_files import read_picture_file
from orchestrator.storage.shelf import Parcel

_LIMITS = PictureLimits()
_BYTES_A_PIXEL = 3
_JPEG_QUALITIES = (95, 80, 60, 40)


async def parcels_of(pictures: Mapping[str, bytes], sent: Collection[str]) -> dict[str, Parcel]:
    """By their names. Those that were sent are encoded anew; the others are the gallery's, and stay as they are."""
    return {
        name: await asyncio.to_thread(reencoded, picture) if name in sent else parcel_of(picture)
        for name, picture in pictures.items()
    }


def parcel_of(encoded: bytes) -> Parcel:
    return Parcel(encoded, f"image/{read_picture_file(encoded).format.lower()}")


def reencoded(encoded: bytes) -> Parcel:
    """Upright, in the very pixels that everybody here decodes it to. Slow: belongs in a thread.

    What would be more than may be read again becomes a fine JPEG: a photo of 12 megapixels has 18 MiB as PNG. Of a JPEG
    that large PNG is not even tried, which would take five seconds.
    """
    file, picture = check_header(encoded, _LIMITS), decode(encoded, _LIMITS)
    if file.format != "JPEG" or file.width_px * file.height_px * _BYTES_A_PIXEL < _LIMITS.max_bytes:
        png = encode_png(picture)
        if len(png) <= _LIMITS.max_bytes:
            return Parcel(png, "image/png")
    return Parcel(_fitting_jpeg(picture), "image/jpeg")


def _fitting_jpeg(picture: Image.Image) -> bytes:
    for quality in _JPEG_QUALITIES:
        buffer = BytesIO()
        picture.save(buffer, format="JPEG", quality=quality, subsampling=0)
        if buffer.tell() <= _LIMITS.max_bytes:
            return buffer.getvalue()
    raise TooLarge(f"the picture has more than {_LIMITS.max_bytes} bytes however it is encoded", field="image")
