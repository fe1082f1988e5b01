"""A picture to what a CLIP picture tower reads, exactly as transformers' CLIPImageProcessor does it with Pillow."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SPEC_FILE = "preprocess.json"


@dataclass(frozen=True)
class ClipPreprocessing:
    """The numbers of a family's preprocessor_config.json that matter; written by export, read by the stub."""

    shortest_edge_px: int
    crop_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def load(cls, folder: Path) -> "ClipPreprocessing":
        spec = json.loads((folder / SPEC_FILE).read_text())
        return cls(spec["shortest_edge_px"], spec["crop_px"], tuple(spec["mean"]), tuple(spec["std"]))


def preprocess(picture: Image.Image, spec: ClipPreprocessing) -> NDArray[np.float32]:
    """Shorter side to size (bicubic), centre crop, scale to 0..1, normalise. Answers (3, crop, crop)."""
    cropped = _centre_crop(_resize_shorter_side(picture, spec.shortest_edge_px), spec.crop_px)
    pixels = np.asarray(cropped, dtype=np.float32) * np.float32(1 / 255)
    normalised = (pixels - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1), dtype=np.float32)


def _resize_shorter_side(picture: Image.Image, edge_px: int) -> Image.Image:
    width, height = picture.size
    # The longer side is cut to a whole pixel, not rounded: so does the reference.
    size = (max(edge_px, int(edge_px * width / height)), max(edge_px, int(edge_px * height / width)))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _centre_crop(picture: Image.Image, crop_px: int) -> Image.Image:
    left = (picture.width - crop_px) // 2
    top = (picture.height - crop_px) // 2
    return picture.crop((left, top, left + crop_px, top + crop_px))
