"""Pictures inside JSON: plain base64, or a data URL. Nothing is ever fetched from an address."""

import base64
import binascii
import re

from modelcore.errors import InvalidInput, TriptychError
from modelcore.images import PictureLimits, check_header

_DATA_URL = re.compile(r"data:image/[a-z0-9.+-]{1,32};base64,")
_LIMITS = PictureLimits()


def read_base64_picture(text: str, field: str) -> bytes:
    """Its bytes, if they begin like a picture of a size that is read."""
    header = _DATA_URL.match(text)
    try:
        encoded = base64.b64decode(text[header.end() if header else 0 :], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"{field} must be base64, or data:image/png;base64,...", field=field) from None
    try:
        check_header(encoded, _LIMITS)
    except TriptychError as error:
        raise type(error)(error.detail, field=field) from None
    return encoded


def write_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
