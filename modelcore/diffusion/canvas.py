"""What is painted on: a size, and where pictures came with the request, what lies there and what is painted anew."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modelcore.diffusion.fields import Fields
from modelcore.diffusion.sizes import Sizes
from modelcore.errors import InvalidInput, TooLarge, TriptychError, UnsupportedFormat
from modelcore.family import Defaults
from modelcore.images import PictureLimits, decode

_NEEDS_A_PICTURE = ("mask_image", "outpaint")
_RESAMPLING: Final = Image.Resampling.LANCZOS  # diffusers' own
_PICTURE_REFUSALS = (InvalidInput, TooLarge, UnsupportedFormat)


@dataclass(frozen=True, eq=False)
class Canvas:
    width: int
    height: int
    picture: NDArray[np.uint8] | None  # (height, width, 3)
    mask: NDArray[np.float32] | None  # (height, width), 0 to 1: 1 = paint here


def read_canvas(fields: Fields, sizes: Sizes, defaults: Defaults) -> Canvas:
    if "init_image" not in fields:
        return _empty(fields, sizes, defaults)
    picture = _picture(fields, "init_image")
    mask = _mask(fields, picture.size)
    if "outpaint" in fields:
        return _outpainted(fields, sizes, picture, mask)
    fitted = sizes.fitted(*picture.size)
    width, height = _wanted(fields, fitted)
    sizes.check(width, height)
    return _canvas(_resized(picture, (width, height)), None if mask is None else _resized(mask, (width, height)))


def _empty(fields: Fields, sizes: Sizes, defaults: Defaults) -> Canvas:
    for name in _NEEDS_A_PICTURE:
        if name in fields:
            raise InvalidInput(f"{name} goes with init_image, which is missing", field=name)
    width, height = _wanted(fields, (defaults.width, defaults.height))
    sizes.check(width, height)
    return Canvas(width, height, None, None)


def _wanted(fields: Fields, otherwise: tuple[int, int]) -> tuple[int, int]:
    width, height = fields.integer("width"), fields.integer("height")
    return otherwise[0] if width is None else width, otherwise[1] if height is None else height


def _outpainted(fields: Fields, sizes: Sizes, picture: Image.Image, mask: Image.Image | None) -> Canvas:
    """The picture as large as it is, with room around it that is painted anew. Its edges are smeared into the room."""
    left, top, right, bottom = _borders(fields, sizes)
    grown = picture.width + left + right, picture.height + top + bottom
    sizes.check(*grown, field="outpaint")
    wanted = _wanted(fields, grown)
    for name, asked, is_so in zip(("width", "height"), wanted, grown, strict=True):
        if asked != is_so:
            raise InvalidInput(f"{name} must be left out, or {is_so} as outpaint makes it: {asked}", field=name)
    rows, columns = (top, bottom), (left, right)
    inside = np.zeros((picture.height, picture.width), np.uint8) if mask is None else np.asarray(mask)
    return _canvas(
        Image.fromarray(np.pad(np.asarray(picture), (rows, columns, (0, 0)), mode="edge")),
        Image.fromarray(np.pad(inside, (rows, columns), constant_values=255)),
    )


def _borders(fields: Fields, sizes: Sizes) -> tuple[int, ...]:
    borders = fields.integers("outpaint", 4) or ()
    most = max(sizes.width.maximum, sizes.height.maximum)
    if not all(0 <= border <= most for border in borders) or not any(borders):
        raise InvalidInput(
            f"outpaint must be left, top, right, bottom, each between 0 and {most} pixels and not all 0: "
            f"{list(borders)}",
            field="outpaint",
        )
    return borders


def _picture(fields: Fields, name: str) -> Image.Image:
    try:
        return decode(fields.file(name) or b"", PictureLimits())
    except _PICTURE_REFUSALS as error:
        raise _of_field(error, name) from error


def _of_field(error: TriptychError, name: str) -> TriptychError:
    """Which of the pictures was meant."""
    return type(error)(f"{name}: {error.detail}", field=name)


def _mask(fields: Fields, size: tuple[int, int]) -> Image.Image | None:
    if "mask_image" not in fields:
        return None
    mask = _picture(fields, "mask_image").convert("L")
    if mask.size != size:
        raise InvalidInput(
            f"mask_image must be as large as init_image, {size[0]} x {size[1]} pixels: {mask.width} x {mask.height}",
            field="mask_image",
        )
    return mask


def _resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, _RESAMPLING)


def _canvas(picture: Image.Image, mask: Image.Image | None) -> Canvas:
    shares = None if mask is None else np.asarray(mask, dtype=np.float32) / np.float32(255)
    return Canvas(picture.width, picture.height, np.array(picture), shares)
