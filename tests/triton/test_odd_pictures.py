"""The served CLIP sees odd pictures as transformers does, and refuses broken ones clearly."""

import numpy as np
import pytest
import torch
import tritonclient.grpc
from transformers import CLIPImageProcessorPil, CLIPModel
from tritonclient.utils import InferenceServerException

from tests.odd_pictures import encoded, odd_pictures, scene
from tests.triptych_process import Addresses
from triptych.project import FAMILIES

SOURCE = FAMILIES / "demo" / "clip"

pytestmark = pytest.mark.triton


def embed(triptych: Addresses, pictures: list[bytes]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    client = tritonclient.grpc.InferenceServerClient(triptych.triton_grpc)
    tensor = tritonclient.grpc.InferInput("image", [len(pictures), 1], "BYTES")
    tensor.set_data_from_numpy(np.array(pictures, dtype=object).reshape(-1, 1))
    return np.asarray(client.infer("clip_image_bytes", [tensor]).as_numpy("embedding"))


def test_odd_pictures_get_the_embeddings_of_transformers(triptych: Addresses) -> None:
    files, seen = zip(*odd_pictures().values(), strict=True)
    processor = CLIPImageProcessorPil.from_pretrained(SOURCE)
    model = CLIPModel.from_pretrained(SOURCE, dtype=torch.float32).eval()
    with torch.inference_mode():
        features = model.get_image_features(**processor(list(seen), return_tensors="pt")).pooler_output
    wanted = torch.nn.functional.normalize(features, dim=-1).numpy()
    assert (embed(triptych, list(files)) * wanted).sum(axis=1).min() > 0.999


@pytest.mark.parametrize(
    "data",
    [
        encoded(scene(90, 70))[:200],
        encoded(scene(90, 70), "JPEG")[:200],
        encoded(scene(64, 64), "WEBP")[:40],
        encoded(scene(8193, 410), "JPEG"),
        encoded(scene(840, 40)),
    ],
    ids=["truncated png", "truncated jpeg", "truncated webp", "too long", "over 20 to 1"],
)
def test_a_picture_that_cannot_be_read_is_refused_with_its_field(triptych: Addresses, data: bytes) -> None:
    with pytest.raises(InferenceServerException, match=r"image\]$"):
        embed(triptych, [data])
