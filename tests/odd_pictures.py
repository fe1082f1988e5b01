"""Encoded pictures of every odd kind that users send, each with the upright RGB that the eye sees in it."""

import io
from functools import cache

import numpy as np
from PIL import Image, ImageOps

EXIF_ORIENTATION = 0x0112


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def scene(width: int, height: int, seed: int = 0) -> Image.Image:
    """Soft blobs of colour: as smooth as a photo, different everywhere."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@cache
def odd_pictures() -> dict[str, tuple[bytes, Image.Image]]:
    """By name: the bytes, and what is in them as the reference would load it."""
    files = {
        "odd size": encoded(scene(101, 67)),
        "tall": encoded(scene(40, 800)),
        "wide": encoded(scene(800, 40)),
        "as long as may be": encoded(scene(8192, 410), "JPEG", quality=90),
        "one pixel": encoded(scene(1, 1)),
        "grey": encoded(scene(90, 70).convert("L")),
        "grey and transparent": encoded(_transparent(90, 70).convert("LA")),
        "palette": encoded(scene(90, 70).quantize(64)),
        "black and white": encoded(scene(90, 70).convert("1")),
        "cmyk": encoded(scene(90, 70).convert("CMYK"), "JPEG", quality=95),
        "transparent": encoded(_transparent(90, 70)),
        "webp": encoded(scene(90, 70), "WEBP", quality=90),
        "blank": encoded(Image.new("RGB", (70, 90), "white")),
        "noise": encoded(Image.effect_noise((90, 70), 90).convert("RGB")),
        **{f"turned {turn}": _turned(turn) for turn in range(2, 9)},
    }
    return {name: (data, _as_loaded(data)) for name, data in files.items()} | {"16 bits": _sixteen_bits()}


def _transparent(width: int, height: int) -> Image.Image:
    picture = scene(width, height).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((width, height)))
    return picture


def _turned(turn: int) -> bytes:
    picture = scene(90, 60)
    exif = picture.getexif()
    exif[EXIF_ORIENTATION] = turn
    return encoded(picture, "JPEG", quality=95, exif=exif)


def _sixteen_bits() -> tuple[bytes, Image.Image]:
    """Pillow cuts 16 bits off at 255 when it converts; what is seen is the scene in 8 bits."""
    grey = np.asarray(scene(90, 70).convert("L"))
    return encoded(Image.fromarray(grey.astype(np.uint16) * 257)), Image.fromarray(grey).convert("RGB")


def _as_loaded(data: bytes) -> Image.Image:
    """As transformers' load_image does: upright, then RGB."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
