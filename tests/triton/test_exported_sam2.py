"""The small SAM2, exported, in the embedded Triton: its three models answer like transformers on the same weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import tritonclient.grpc
from numpy.typing import NDArray
from transformers import Sam2Model

from embedded.server import TritonServer
from export.sam2.pictures import drawn_picture
from export.sam2.prompts import random_prompts
from export.sam2.proof import split_error, whole_answer
from export.sam2.source import load_sam2
from modelcore.contract import DataType, ServedModel
from modelcore.sam2_models import SAM2_MODELS
from tests.small_sam2 import exported_sam2
from tests.triton.conftest import READY_TIMEOUT_S, client_of, free_options

ENCODER, PREPARE, DECODER = SAM2_MODELS
MAX_ERROR = 1e-4
SIDE_PX, MASK_PX = 64, 32

Client = tritonclient.grpc.InferenceServerClient
Arrays = dict[str, NDArray[np.generic]]

# The first test waits for three exports, slow on busy cores.
pytestmark = [pytest.mark.triton, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Sam2Model:
    return load_sam2(exported_sam2(tmp_path_factory)[0])


@pytest.fixture(scope="module")
def client(embedded_binary: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    repository: Path = exported_sam2(tmp_path_factory)[1]
    server = TritonServer(free_options(repository), tmp_path_factory.mktemp("log") / "triton.log")
    try:
        server.start()
        server.wait_ready(READY_TIMEOUT_S)
        with client_of(server) as connected:
            yield connected
    finally:
        server.stop()


def test_two_pictures_get_the_features_of_transformers(client: Client, model: Sam2Model) -> None:
    pixels = torch.stack([drawn_picture(SIDE_PX, seed) for seed in (1, 2)])
    with torch.inference_mode():
        fine, middle, embedding = model.get_image_embeddings(pixels)
    got = ask(client, ENCODER, {"pixel_values": pixels.numpy()})
    wanted = {"image_embedding": embedding, "features_fine": fine, "features_middle": middle}
    assert max(split_error(torch.from_numpy(got[name]), wanted[name]) for name in wanted) < MAX_ERROR


@pytest.mark.parametrize(
    ("prompts", "points", "box", "masked"),
    [(1, 1, False, False), (5, 3, False, False), (3, 4, True, False), (2, 1, False, True)],
    ids=["one click", "five prompts", "boxes with points", "clicks on earlier masks"],
)
def test_prompts_get_the_masks_of_transformers(
    client: Client, model: Sam2Model, prompts: int, points: int, box: bool, masked: bool
) -> None:
    torch.manual_seed(5)
    pixels = drawn_picture(SIDE_PX, seed=5)[None]
    places, labels = random_prompts(model, prompts, points, box=box)
    earlier = 8 * torch.randn(prompts, 1, MASK_PX, MASK_PX) if masked else None
    with torch.inference_mode():
        fine, middle, embedding = model.get_image_embeddings(pixels)
    wanted = whole_answer(model, (embedding, fine, middle), places, labels, earlier)

    known: Arrays = {"pixel_values": pixels.numpy(), "points": places.numpy(), "labels": labels.numpy()}
    known["mask_input"] = np.zeros((1, 1, MASK_PX, MASK_PX), np.float32) if earlier is None else earlier.numpy()
    known["has_mask"] = np.full(len(known["mask_input"]), masked)
    for served in SAM2_MODELS:
        known |= ask(client, served, known)
    for name, tensor in zip(("masks", "iou_scores", "object_scores"), wanted, strict=True):
        assert split_error(torch.from_numpy(known[name]), tensor) < MAX_ERROR


def ask(client: Client, served: ServedModel, known: Arrays) -> Arrays:
    inputs = []
    for tensor in served.inputs:
        given = tritonclient.grpc.InferInput(tensor.name, known[tensor.name].shape, DataType(tensor.data_type).value)
        given.set_data_from_numpy(known[tensor.name])
        inputs.append(given)
    answer = client.infer(served.name, inputs)
    return {tensor.name: answer.as_numpy(tensor.name).copy() for tensor in served.outputs}
