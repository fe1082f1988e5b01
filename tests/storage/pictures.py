"""Small drawn pictures."""

import io
from typing import Any

from PIL import Image

from orchestrator.gallery.pictures import KeptPicture, NewPicture, keep_pictures
from orchestrator.storage.shelf import Shelf


def png(colour: str, width: int = 40, height: int = 24) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def picture(colour: str, width: int = 40, height: int = 24, **known: Any) -> NewPicture:
    return NewPicture(png(colour, width, height), **known)


async def kept_picture(shelf: Shelf, colour: str) -> KeptPicture:
    return (await keep_pictures(shelf, [picture(colour)]))[0]
