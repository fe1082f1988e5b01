"""The embeddings mean something: a drawn scene is nearest to the words that are true of it, through REST alone."""

import base64

import httpx
import numpy as np
import pytest
from PIL import Image

from modelcore.images import encode_png
from tests.triptych_process import Addresses
from training.scene import COLOURS, SHAPES
from training.world import World

pytestmark = pytest.mark.triton

SCENES = 60
PAIRS = [(colour, shape) for colour in COLOURS for shape in SHAPES]


def embed(rest: str, inputs: list[object]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    answer = httpx.post(f"http://{rest}/v1/embeddings", json={"model": "clip", "input": inputs}, timeout=60)
    return np.array([item["embedding"] for item in answer.raise_for_status().json()["data"]], dtype=np.float32)


def data_url(pixels: object) -> str:
    return f"data:image/png;base64,{base64.b64encode(encode_png(Image.fromarray(pixels))).decode()}"


def test_a_held_out_scene_is_nearest_to_its_own_colour_and_shape(triptych: Addresses) -> None:
    samples = list(World("held_out", seed=7, counts=(1,)).samples(SCENES))
    pictures = embed(triptych.rest, [{"image": data_url(sample.drawing.pixels)} for sample in samples])
    words = embed(triptych.rest, [f"a {colour} {shape}" for colour, shape in PAIRS])
    nearest = (pictures @ words.T).argmax(axis=1)
    right = [PAIRS[index] == sample.scene.things[0].pair for index, sample in zip(nearest, samples, strict=True)]
    assert np.mean(right) >= 0.95
