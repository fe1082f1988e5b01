"""What may be embedded, from JSON to bytes. Refuses with the place of the wrong item; knows no server."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelcore.contract import Limit
from modelcore.errors import InvalidInput, NotSupported, TooLarge, TriptychError
from modelcore.images import PictureLimits, check_header
from modelcore.text.limits import TextLimits, check_text
from orchestrator.pictures.base64_pictures import decode_base64

_DATA_URL = re.compile(r"data:image/[a-z0-9.+-]{1,32};base64,")
_PICTURE_LIMITS = PictureLimits()
_TEXT_LIMITS = TextLimits()
EMBEDDING_INPUTS = Limit("inputs", 1, 256)
# Decoding is the dear part: a few kilobytes may unfold to 16 megapixels, and they would all wait in one queue.
MAX_PIXELS_A_REQUEST = 2 * _PICTURE_LIMITS.max_pixels


@dataclass(frozen=True)
class TextInput:
    utf8: bytes


@dataclass(frozen=True)
class PictureInput:
    encoded: bytes
    pixels: int


Input = TextInput | PictureInput

_TEXT_SCHEMA = {"type": "string", "minLength": 1, "maxLength": _TEXT_LIMITS.max_characters}
_PICTURE_SCHEMA = {"type": "string", "description": "data:image/...;base64,... of a PNG, JPEG or WebP picture"}
_ITEM_SCHEMA = {
    "anyOf": [
        _TEXT_SCHEMA,
        *(
            {
                "type": "object",
                "properties": {name: schema},
                "required": [name],
                "additionalProperties": False,
            }
            for name, schema in (("text", _TEXT_SCHEMA), ("image", _PICTURE_SCHEMA))
        ),
    ]
}
INPUT_SCHEMA: dict[str, Any] = {
    "description": f"One text, or up to {EMBEDDING_INPUTS.maximum} texts and pictures. A text has at most "
    f"{_TEXT_LIMITS.max_characters} characters and {_TEXT_LIMITS.max_bytes} bytes.",
    "anyOf": [
        _TEXT_SCHEMA,
        {
            "type": "array",
            "items": _ITEM_SCHEMA,
            "minItems": EMBEDDING_INPUTS.minimum,
            "maxItems": EMBEDDING_INPUTS.maximum,
        },
    ],
}


async def parse_inputs(value: Any) -> tuple[Input, ...]:
    if isinstance(value, str):
        return (_text(value, "input"),)
    if not isinstance(value, list):
        raise InvalidInput("input must be a text or a list", field="input")
    _refuse_tokens(value)
    _check_size(EMBEDDING_INPUTS, len(value), "input")
    inputs = [await _item(item, f"input[{position}]") for position, item in enumerate(value)]
    _check_pixels(inputs)
    return tuple(inputs)


def _refuse_tokens(items: list[Any]) -> None:
    flat = [part for item in items for part in (item if isinstance(item, list) else [item])]
    if flat and all(type(part) is int for part in flat):
        raise NotSupported("token arrays are not supported: send texts", field="input")


async def _item(item: Any, field: str) -> Input:
    match item:
        case str():
            return _text(item, field)
        case {"text": text, **rest} if not rest:
            return _text(text, f"{field}.text")
        case {"image": url, **rest} if not rest:
            return await _picture(url, f"{field}.image")
    raise InvalidInput(f'{field} must be a text, {{"text": ...}} or {{"image": ...}}', field=field)


def _text(text: Any, field: str) -> TextInput:
    if not isinstance(text, str):
        raise InvalidInput(f"{field} must be a text", field=field)
    if not text:
        raise InvalidInput(f"{field} must not be empty", field=field)
    return TextInput(check_text(text, _TEXT_LIMITS, field))


async def _picture(url: Any, field: str) -> PictureInput:
    header = _DATA_URL.match(url) if isinstance(url, str) else None
    if header is None:
        # Nothing is ever fetched from an address in a request.
        raise InvalidInput(f"{field} must be a data URL: data:image/png;base64,...", field=field)
    try:
        encoded = await decode_base64(url, header.end())
    except ValueError:
        raise InvalidInput(f"{field} is not base64", field=field) from None
    try:
        file = check_header(encoded, _PICTURE_LIMITS)
    except TriptychError as error:
        raise type(error)(error.detail, field=field) from None
    await asyncio.sleep(0)  # there may be many, and others are served in between
    return PictureInput(encoded, file.width_px * file.height_px)


def _check_pixels(inputs: Sequence[Input]) -> None:
    pixels = sum(item.pixels for item in inputs if isinstance(item, PictureInput))
    if pixels > MAX_PIXELS_A_REQUEST:
        raise TooLarge(f"the pictures may have {MAX_PIXELS_A_REQUEST} pixels together: {pixels}", field="input")


def _check_size(limit: Limit, size: int, field: str) -> None:
    if not limit.minimum <= size <= limit.maximum:
        bounds = f"{limit.minimum} to {limit.maximum} {limit.name}"
        raise InvalidInput(f"{field} must have {bounds}: {size}", field=field)
