"""A picture as it came in: its bytes, its size, and the hash that stands for it. Decodes nothing by itself."""

import hashlib
from dataclasses import dataclass

from PIL import Image

from modelcore.images import PictureLimits, check_header, decode

_TURNED = frozenset({5, 6, 7, 8})  # EXIF's orientations that exchange width and height


@dataclass(frozen=True)
class Picture:
    encoded: bytes
    sha256: str
    width_px: int  # upright, as all coordinates are
    height_px: int
    limits: PictureLimits

    def decoded(self) -> Image.Image:
        """Upright RGB. Slow: belongs in a thread."""
        return decode(self.encoded, self.limits)


def accept_picture(encoded: bytes, limits: PictureLimits | None = None) -> Picture:
    """Refuses by format and size; what is broken further in comes out when it is decoded."""
    limits = limits or PictureLimits()
    file = check_header(encoded, limits)
    width, height = file.width_px, file.height_px
    if file.orientation in _TURNED:
        width, height = height, width
    return Picture(encoded, hashlib.sha256(encoded).hexdigest(), width, height, limits)
