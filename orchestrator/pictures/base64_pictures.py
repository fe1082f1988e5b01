"""Pictures inside JSON: plain base64, or a data URL. Nothing is ever fetched from an address."""

import asyncio
import base64
import re

from modelcore.errors import InvalidInput, TriptychError
from modelcore.images import PictureLimits, check_header

_DATA_URL = re.compile(r"data:image/[a-z0-9.+-]{1,32};base64,")
_LIMITS = PictureLimits()
_PIECE_CHARACTERS = 1024 * 1024  # of four characters each are three bytes


async def read_base64_picture(text: str, field: str) -> bytes:
    """Its bytes, if they begin like a picture of a size that is read."""
    header = _DATA_URL.match(text)
    try:
        encoded = await decode_base64(text, header.end() if header else 0)
    except ValueError:
        raise InvalidInput(f"{field} must be base64, or data:image/png;base64,...", field=field) from None
    try:
        check_header(encoded, _LIMITS)
    except TriptychError as error:
        raise type(error)(error.detail, field=field) from None
    return encoded


async def decode_base64(text: str, begin: int = 0) -> bytes:
    """What is not base64 is a ValueError. In pieces, between which others are served."""
    pieces: list[bytes] = []
    for position in range(begin, len(text), _PIECE_CHARACTERS):
        if pieces:
            await asyncio.sleep(0)
            if len(pieces[-1]) % 3:
                raise ValueError("the padding is not at the end")
        pieces.append(base64.b64decode(text[position : position + _PIECE_CHARACTERS], validate=True))
    return b"".join(pieces)


def write_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
