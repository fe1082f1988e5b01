"""The served CLIP answers like transformers on the same weights, through every public door of Triton."""

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tritonclient.grpc
import tritonclient.http
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer
from tritonclient.utils import InferenceServerException

from modelcore.manifest import read_manifest, weights_name
from tests.triptych_process import Addresses

PROJECT = Path(__file__).parents[2]
SOURCE = PROJECT / "families" / "demo" / "clip"
TEXTS = ["a large red circle above a small blue square", "two green stars", ""]

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def reference() -> CLIPModel:
    return CLIPModel.from_pretrained(SOURCE, dtype=torch.float32).eval()


def png(width: int, height: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((width * 4, height * 4), Image.Resampling.BICUBIC).save(buffer, format="PNG")
    return buffer.getvalue()


def infer(client: object, model: str, name: str, values: list[bytes], output: str = "embedding") -> NDArray[Any]:
    module = tritonclient.http if isinstance(client, tritonclient.http.InferenceServerClient) else tritonclient.grpc
    tensor = module.InferInput(name, [len(values), 1], "BYTES")
    tensor.set_data_from_numpy(np.array(values, dtype=object).reshape(-1, 1))
    return np.asarray(client.infer(model, [tensor]).as_numpy(output))  # type: ignore[attr-defined]


def cosines(left: NDArray[np.float32], right: torch.Tensor) -> NDArray[np.float32]:
    normalised = torch.nn.functional.normalize(right, dim=-1).numpy()
    return np.asarray((left * normalised).sum(axis=-1))


@pytest.fixture(params=["grpc", "http"])
def client(request: pytest.FixtureRequest, triptych: Addresses) -> object:
    if request.param == "grpc":
        return tritonclient.grpc.InferenceServerClient(triptych.triton_grpc)
    return tritonclient.http.InferenceServerClient(triptych.triton_http)


def test_a_picture_gets_the_embedding_of_transformers(client: object, reference: CLIPModel) -> None:
    pictures = [png(32, 24, seed=1), png(16, 40, seed=2), png(17, 17, seed=3)]
    processor = CLIPImageProcessorPil.from_pretrained(SOURCE)
    decoded = [Image.open(io.BytesIO(data)).convert("RGB") for data in pictures]
    with torch.inference_mode():
        wanted = reference.get_image_features(**processor(decoded, return_tensors="pt")).pooler_output
    assert cosines(infer(client, "clip_image_bytes", "image", pictures), wanted).min() > 0.9999


def test_a_text_gets_the_embedding_of_transformers(client: object, reference: CLIPModel) -> None:
    tokens = CLIPTokenizer.from_pretrained(SOURCE)(TEXTS, padding="max_length", return_tensors="pt")
    with torch.inference_mode():
        wanted = reference.get_text_features(tokens["input_ids"]).pooler_output
    got = infer(client, "clip_text_string", "text", [text.encode() for text in TEXTS])
    assert cosines(got, wanted).min() > 0.9999


def test_texts_and_pictures_tell_the_same_name_of_weights(client: object) -> None:
    """Also from Triton's response cache, which the second call of each meets."""
    asked = [("clip_text_string", "text", b"a red owl"), ("clip_image_bytes", "image", png(9, 9, seed=5))] * 2
    names = [
        name for model, tensor, item in asked for name in infer(client, model, tensor, [item] * 2, "weights")[:, 0]
    ]
    manifest = read_manifest(PROJECT / "model_repository" / "clip_tokenize" / "1")
    assert manifest is not None
    assert {bytes(name).decode() for name in names} == {weights_name(manifest)}
    assert len(names) == 8


@pytest.mark.parametrize("data", [b"", b"not a picture", png(8, 8, seed=4)[:80]])
def test_a_bad_picture_is_an_invalid_argument(triptych: Addresses, data: bytes) -> None:
    client = tritonclient.grpc.InferenceServerClient(triptych.triton_grpc)
    with pytest.raises(InferenceServerException) as caught:
        infer(client, "clip_image_bytes", "image", [data])
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "Traceback" not in caught.value.message()


def test_the_script_of_the_page_prints_an_embedding(triptych: Addresses) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "understanding.md").read_text(), re.DOTALL)
    assert len(script.strip().splitlines()) <= 12
    script = script.replace("127.0.0.1:8001", triptych.triton_grpc)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    numbers = re.findall(r"-?\d\.\d+(?:e-?\d+)?", ran.stdout)
    assert np.linalg.norm([float(number) for number in numbers]) == pytest.approx(1, abs=1e-3), ran.stderr
