"""The exported denoisers: which sizes they take, what they refuse, that rows do not see each other. And their kin."""

from pathlib import Path
from typing import get_args

import numpy as np
import onnxruntime
import pytest
import torch
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from export.diffusion import autoencoder, builders, text
from export.parity import MAX_RELATIVE_ERROR, open_session, relative_error
from modelcore.errors import SetupProblem
from modelcore.family import Architecture
from tests.exported_diffusion import exported_graph, random_family, suffixes
from tests.small_diffusion import MAX_LATENT_SIDE_OF_SD3, write_random_family

Arrays = dict[str, NDArray[np.float32]]
Session = onnxruntime.InferenceSession

TEXT_SIZE_OF_SD, TEXT_SIZE_OF_SD3, POOLED_SIZE_OF_SD3 = 24, 64, 40

pytestmark = pytest.mark.timeout(600)  # an export takes ten seconds of one core, and the first test pays for it


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "diffusion"


@pytest.fixture(scope="module")
def unet(base: Path) -> Session:
    return open_session(exported_graph(base, "sd", "unet"))


@pytest.fixture(scope="module")
def transformer(base: Path) -> Session:
    return open_session(exported_graph(base, "sd3", "transformer"))


def unet_inputs(rows: int, height: int, width: int) -> Arrays:
    random = np.random.default_rng(0)
    return {
        "latents": random.standard_normal((rows, 4, height, width), np.float32),
        "timestep": random.uniform(0, 999, (rows, 1)).astype(np.float32),
        "encoder_hidden_states": random.standard_normal((rows, 6, TEXT_SIZE_OF_SD), np.float32),
    }


def transformer_inputs(rows: int, height: int, width: int) -> Arrays:
    random = np.random.default_rng(0)
    return {
        "latents": random.standard_normal((rows, 16, height, width), np.float32),
        "timestep": random.uniform(0, 999, (rows, 1)).astype(np.float32),
        "encoder_hidden_states": random.standard_normal((rows, 6, TEXT_SIZE_OF_SD3), np.float32),
        "pooled": random.standard_normal((rows, POOLED_SIZE_OF_SD3), np.float32),
    }


def denoise(session: Session, given: Arrays) -> NDArray[np.float32]:
    return np.asarray(session.run(["noise"], given)[0])


def row(given: Arrays, index: int) -> Arrays:
    return {name: array[index : index + 1] for name, array in given.items()}


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_every_served_network_has_a_builder_and_no_other(architecture: Architecture) -> None:
    assert set(builders(architecture)) == set(suffixes(architecture))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (8, 8), (5, 8), (9, 7), (13, 40)])
def test_a_unet_takes_latents_of_any_size(base: Path, unet: Session, height: int, width: int) -> None:
    given = unet_inputs(2, height, width)
    source = UNet2DConditionModel.from_pretrained(random_family(base, "sd") / "unet")
    latents, timestep, words = (torch.from_numpy(array) for array in given.values())
    with torch.inference_mode():
        wanted = source(latents, timestep[:, 0], words).sample.numpy()
    assert relative_error(denoise(unet, given), wanted) < MAX_RELATIVE_ERROR


def test_a_row_of_a_unet_is_bit_for_bit_what_it_is_alone(unet: Session) -> None:
    given = unet_inputs(5, 8, 8)
    alone = [denoise(unet, row(given, index)) for index in range(5)]
    np.testing.assert_array_equal(denoise(unet, given), np.concatenate(alone))


def test_a_row_of_a_transformer_is_what_it_is_alone(transformer: Session) -> None:
    given = transformer_inputs(5, 8, 8)
    alone = [denoise(transformer, row(given, index)) for index in range(5)]
    assert relative_error(denoise(transformer, given), np.concatenate(alone)) < 1e-6


def test_a_transformer_takes_latents_as_large_as_its_table_of_positions(transformer: Session) -> None:
    side = MAX_LATENT_SIDE_OF_SD3
    assert denoise(transformer, transformer_inputs(1, side, side)).shape == (1, 16, side, side)


@pytest.mark.parametrize("beyond", [2, 4, 64])
def test_a_transformer_refuses_latents_beyond_its_table_of_positions(transformer: Session, beyond: int) -> None:
    given = transformer_inputs(1, MAX_LATENT_SIDE_OF_SD3 + beyond, 8)
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        denoise(transformer, given)


def test_a_transformer_cuts_odd_latents_as_diffusers_does(transformer: Session) -> None:
    """A limit, not a wish: who serves sd3 must ask for even sides."""
    assert denoise(transformer, transformer_inputs(1, 9, 7)).shape == (1, 16, 8, 6)


def test_open_sizes_have_readable_names(unet: Session) -> None:
    assert {item.name: item.shape for item in unet.get_inputs()} == {
        "latents": ["batch", 4, "latent_height", "latent_width"],
        "timestep": ["batch", 1],
        "encoder_hidden_states": ["batch", "length", "text_size"],
    }
    assert unet.get_outputs()[0].shape == ["batch", 4, "latent_height", "latent_width"]


def test_scaling_by_channel_is_undone_by_the_decoder(tmp_path: Path) -> None:
    """As some sdxl autoencoders have it; diffusers' pipelines are the source of both formulas."""
    source = write_random_family(tmp_path, "sd") / "vae"
    encoder, decoder = autoencoder.encoder(source).module, autoencoder.decoder(source).module
    vae: torch.nn.Module = encoder.vae
    mean, deviation = [0.5, -1.0, 0.0, 2.0], [1.0, 2.0, 4.0, 0.5]
    vae.register_to_config(latents_mean=mean, latents_std=deviation, scaling_factor=0.5)
    scaled, _ = autoencoder.Encoder(vae)(torch.zeros(1, 3, 8, 8))
    plain = vae.encode(torch.zeros(1, 3, 8, 8)).latent_dist.mean
    by_channel = (1, 4, 1, 1)
    wanted = (plain - torch.tensor(mean).view(by_channel)) * 0.5 / torch.tensor(deviation).view(by_channel)
    torch.testing.assert_close(scaled, wanted)
    decoder.vae.register_to_config(latents_mean=mean, latents_std=deviation, scaling_factor=0.5)
    torch.testing.assert_close(autoencoder.Decoder(decoder.vae)(scaled), vae.decode(plain).sample)


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    source = write_random_family(tmp_path, "sd") / "text_encoder"
    weights = load_file(source / "model.safetensors")
    missing = next(name for name in weights if "final_layer_norm.weight" in name)
    save_file({name: tensor for name, tensor in weights.items() if name != missing}, source / "model.safetensors")
    with pytest.raises(SetupProblem, match=r"1 tensors of CLIPTextModel are not in the weights, .*final_layer_norm"):
        text.clip_of_sd(source)


def test_a_folder_without_weights_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match="holds no readable AutoencoderKL: ") as problem:
        autoencoder.encoder(tmp_path)
    assert "\n" not in problem.value.detail
