"""A UNet that adds its pooled words to the time embedding answers as diffusers', and for each row by itself."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from diffusers import UNet2DConditionModel

from export.diffusion.denoiser import unet
from export.network import export_network

LENGTH, WIDTH = 32, 16


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    made = UNet2DConditionModel(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
        norm_num_groups=4,
        cross_attention_dim=WIDTH,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )
    folder = tmp_path_factory.mktemp("source") / "unet"
    made.eval().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def session(source: Path, tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    export_network("small_unet", unet(source), path)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def inputs(rows: int) -> dict[str, np.ndarray]:
    torch.manual_seed(1)
    return {
        "latents": torch.randn(rows, 4, 16, 16).numpy(),
        "timestep": (torch.rand(rows, 1) * 999).numpy(),
        "encoder_hidden_states": torch.randn(rows, LENGTH, WIDTH).numpy(),
    }


def test_it_answers_as_diffusers(source: Path, session: onnxruntime.InferenceSession) -> None:
    given = inputs(3)
    latents, timestep, text = (torch.from_numpy(array) for array in given.values())
    with torch.no_grad():
        wanted = UNet2DConditionModel.from_pretrained(source)(latents, timestep[:, 0], text).sample
    assert np.abs(session.run(None, given)[0] - wanted.numpy()).max() < 1e-5


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8])
def test_a_row_is_the_same_to_the_bit_in_any_company(session: onnxruntime.InferenceSession, rows: int) -> None:
    given = inputs(8)
    together = session.run(None, given)[0]
    fewer = session.run(None, {name: array[:rows] for name, array in given.items()})[0]
    assert np.array_equal(fewer, together[:rows])
