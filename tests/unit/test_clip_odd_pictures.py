"""Whatever kind of picture comes, CLIP is shown what transformers' processor would show it."""

from pathlib import Path

import numpy as np
import pytest
from transformers import CLIPImageProcessorPil
from transformers.image_utils import load_image

from export.clip import write_preprocessing
from modelcore.images import PictureLimits, decode
from modelcore.vision.clip import ClipPreprocessing, preprocess
from tests.odd_pictures import odd_pictures
from triptych.project import FAMILIES

SOURCE = FAMILIES / "demo" / "clip"


@pytest.mark.parametrize("name", odd_pictures())
def test_an_odd_picture_is_prepared_as_transformers_does(name: str, tmp_path: Path) -> None:
    data, seen = odd_pictures()[name]
    write_preprocessing(SOURCE, tmp_path)
    spec = ClipPreprocessing.load(tmp_path)
    wanted = CLIPImageProcessorPil.from_pretrained(SOURCE)(load_image(seen), return_tensors="np")["pixel_values"][0]
    got = preprocess(decode(data, PictureLimits()), spec)
    grey_level = 1 / 255 / min(spec.std)
    assert np.abs(got - wanted).max() <= grey_level
