"""Requests for pictures as Triton would hand them over, and a family that takes them."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modelcore.contract import Limit
from modelcore.diffusion.networks import LatentFacts
from modelcore.diffusion.request import PictureRequest, parse_request
from modelcore.family import Architecture, Defaults, Diffusion, Limits

Arrays = dict[str, NDArray[Any]]
LIMITS = Limits(
    width=Limit("width", 64, 256),
    height=Limit("height", 64, 192),
    steps=Limit("steps", 1, 50),
    pictures=Limit("num_images", 1, 4),
)
_SCHEDULERS: dict[Architecture, str] = {"sd": "ddim", "sdxl": "euler", "sd3": "flow_euler"}
_CHANNELS: dict[Architecture, int] = {"sd": 4, "sdxl": 4, "sd3": 16}
_TYPES = {str: object, bytes: object, int: np.int32, float: np.float32}


def tensors(**values: Any) -> Arrays:
    """Python's values as one-element tensors; arrays are taken as they are, and None is left out."""
    return {name: _tensor(value) for name, value in values.items() if value is not None}


def parse(architecture: Architecture = "sd", **values: Any) -> PictureRequest:
    channels = _CHANNELS[architecture]
    facts = LatentFacts(architecture, channels, pixels_per_cell=8, denoiser_channels=channels)
    defaults = Defaults(20, 3.0, 128, 128, _SCHEDULERS[architecture])
    return parse_request(
        tensors(**{"prompt": "a red circle"} | values), Diffusion(architecture, defaults, LIMITS), facts
    )


def encoded(pixels: NDArray[np.uint8], file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=file_format, **options)
    return buffer.getvalue()


def noise_pixels(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _tensor(value: Any) -> NDArray[Any]:
    if isinstance(value, np.ndarray):
        return value
    item = value.encode() if isinstance(value, str) else value
    kind = np.int64 if isinstance(value, int) and abs(value) >= 2**31 else _TYPES[type(value)]
    return np.array([item], dtype=kind)
