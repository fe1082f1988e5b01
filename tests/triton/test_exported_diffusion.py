"""Exported Stable Diffusion networks in the real Triton answer like diffusers and transformers on the same weights."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from tritonclient.grpc import InferenceServerClient, InferInput

from embedded.server import TritonServer
from export.parity import MAX_RELATIVE_ERROR, relative_error
from modelcore.family import Architecture
from tests.diffusion_reference import REFERENCES, Arrays
from tests.exported_diffusion import exported_graph, random_family, suffixes
from tests.triton.conftest import client_of, free_options

READY_TIMEOUT_S = 180.0
MODELS = [(architecture, suffix) for architecture in get_args(Architecture) for suffix in REFERENCES[architecture]]

pytestmark = [pytest.mark.triton, pytest.mark.timeout(1200)]  # 15 exports, about 80 s of one core


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp() / "diffusion"
    for architecture, suffix in MODELS:
        exported_graph(base, architecture, suffix)
    return base


@pytest.fixture(scope="module")
def client(
    embedded_binary: None, families: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InferenceServerClient]:
    """All families side by side in one Triton."""
    server = TritonServer(free_options(families / "repository"), tmp_path_factory.mktemp("log") / "triton.log")
    try:
        server.start()
        server.wait_ready(READY_TIMEOUT_S)
        with client_of(server) as connected:
            yield connected
    finally:
        server.stop()


def test_every_network_of_every_architecture_has_a_reference() -> None:
    served = [(name, suffix) for name in get_args(Architecture) for suffix in suffixes(name)]
    assert sorted(served) == sorted(MODELS)


@pytest.mark.parametrize(("architecture", "suffix"), MODELS)
def test_triton_answers_like_the_source(
    client: InferenceServerClient, families: Path, architecture: Architecture, suffix: str
) -> None:
    torch.manual_seed(1)
    given, wanted = REFERENCES[architecture][suffix](random_family(families, architecture))
    got = infer(client, f"{architecture}_{suffix}", given)
    assert got.keys() == wanted.keys()
    assert max(relative_error(got[name], wanted[name]) for name in wanted) < MAX_RELATIVE_ERROR


def infer(client: InferenceServerClient, model: str, given: Mapping[str, torch.Tensor]) -> Arrays:
    inputs = []
    for name, tensor in given.items():
        data_type = "INT64" if tensor.dtype == torch.int64 else "FP32"
        inputs.append(InferInput(name, list(tensor.shape), data_type))
        inputs[-1].set_data_from_numpy(tensor.numpy())
    answer = client.infer(model, inputs)
    names = [output.name for output in answer.get_response().outputs]
    return {name: np.asarray(answer.as_numpy(name)) for name in names}
