"""A picture to what SAM2's encoder reads, as Meta's transform does it; what serving must know of a family's SAM2."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FACTS_FILE = "segment.json"


@dataclass(frozen=True)
class Sam2Facts:
    """Written by export, read by the stub."""

    side_px: int  # of the square that pictures are stretched to
    mask_side_px: int  # of the masks that the decoder gives, and takes
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    # When one mask is asked for and the network's single one is not steady, the best of three stands in for it.
    single_mask_offset: float  # in logits
    single_mask_stability: float  # 0 accepts every single mask
    automatic: Mapping[str, Any]  # what the family wants otherwise than Meta's generator

    @classmethod
    def load(cls, folder: Path) -> "Sam2Facts":
        facts = json.loads((folder / FACTS_FILE).read_text())
        return cls(**{**facts, "mean": tuple(facts["mean"]), "std": tuple(facts["std"])})


def preprocess(picture: Image.Image, facts: Sam2Facts) -> NDArray[np.float32]:
    """Stretched to the square (bilinear, antialiased), scaled to 0..1, normalised. Answers (3, side, side)."""
    square = picture.resize((facts.side_px, facts.side_px), Image.Resampling.BILINEAR)
    pixels = np.asarray(square, dtype=np.float32) * np.float32(1 / 255)
    normalised = (pixels - np.array(facts.mean, np.float32)) / np.array(facts.std, np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1), dtype=np.float32)
