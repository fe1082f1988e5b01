"""From what OpenAI's clients send of a picture, see-through where it is to be edited, to what the pipeline takes.

Knows no HTTP. Everything here decodes: it belongs in a thread.
"""

from dataclasses import dataclass

from PIL import Image, ImageChops

from modelcore.errors import InvalidInput, TooLarge, UnsupportedFormat
from modelcore.images import PictureLimits, decode, decode_opacity, encode_png

_LIMITS = PictureLimits()
_REFUSALS = (InvalidInput, TooLarge, UnsupportedFormat)


@dataclass(frozen=True)
class Edit:
    """`mask_image` is white where it is painted; without one the whole picture is."""

    init_image: bytes
    mask_image: bytes | None


def read_edit(image: bytes, mask: bytes | None, size: tuple[int, int] | None) -> Edit:
    """With a size: what of the picture fits into its shape, around the middle. Without: as it came."""
    opacity = decode_opacity(image, _LIMITS) if mask is None else _mask_opacity(mask)
    picture = decode(image, _LIMITS)
    if opacity.size != picture.size:
        raise InvalidInput(
            f"mask must be as large as image, {picture.width} x {picture.height} pixels: "
            f"{opacity.width} x {opacity.height}",
            field="mask",
        )
    painted = ImageChops.invert(opacity) if _is_see_through(opacity) else None
    return Edit(
        encode_png(_shaped(picture, size)),
        None if painted is None else encode_png(_shaped(painted, size)),
    )


def _mask_opacity(mask: bytes) -> Image.Image:
    try:
        opacity = decode_opacity(mask, _LIMITS)
    except _REFUSALS as error:
        raise type(error)(f"mask: {error.detail}", field="mask") from error
    if not _is_see_through(opacity):
        raise InvalidInput("mask must be transparent where image is to be edited: no pixel of it is", field="mask")
    return opacity


def _is_see_through(opacity: Image.Image) -> bool:
    darkest = opacity.getextrema()[0]
    return darkest != 255


def _shaped(picture: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    """Cut to the size's proportions and scaled to it: stretched is what nobody wants of a picture."""
    if size is None or size == picture.size:
        return picture
    scale = min(picture.width / size[0], picture.height / size[1])
    width, height = scale * size[0], scale * size[1]
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    return picture.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + width, top + height))
