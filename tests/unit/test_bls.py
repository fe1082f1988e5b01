from collections.abc import Iterator

import numpy as np
import pytest

from modelcore.bls import model_call, served_networks
from modelcore.diffusion_models import diffusion_models
from modelcore.errors import InternalFault, ModelUnavailable
from tests.fake_pb_utils import Arrays, FakePbUtils, FakeResponse, answering, failing

NETWORKS = {model.name: model for model in diffusion_models("demo", "sd")}


def doubles(arrays: Arrays) -> Iterator[FakeResponse]:
    yield answering({"picture": arrays["latents"] * 2})


def test_a_call_names_the_model_and_its_tensors() -> None:
    pb_utils = FakePbUtils({"demo_vae_decoder": doubles})
    decoded = served_networks(pb_utils, "demo", "sd").decode_latents(np.ones((1, 4, 2, 2), np.float32))
    assert decoded.tolist() == np.full((1, 4, 2, 2), 2.0).tolist()
    assert pb_utils.calls[0][0] == "demo_vae_decoder"


def test_more_rows_than_a_model_takes_go_in_several_calls() -> None:
    pb_utils = FakePbUtils({"demo_vae_decoder": doubles})
    latents = np.arange(19, dtype=np.float32).reshape(19, 1, 1, 1)
    decoded = model_call(pb_utils, NETWORKS["demo_vae_decoder"])({"latents": latents})["picture"]
    assert [len(arrays["latents"]) for _, arrays in pb_utils.calls] == [8, 8, 3]
    assert np.array_equal(decoded, latents * 2)


def test_every_text_encoder_is_there_in_order() -> None:
    def encodes(arrays: Arrays) -> Iterator[FakeResponse]:
        yield answering({"last_hidden_state": arrays["input_ids"]})

    pb_utils = FakePbUtils({"big_text_encoder_3": encodes})
    first, second, third = served_networks(pb_utils, "big", "sd3").encode_text
    assert third(np.array([[5]]))["last_hidden_state"].tolist() == [[5]]
    for missing in (first, second):
        with pytest.raises(ModelUnavailable):
            missing(np.array([[5]]))
    assert [name for name, _ in pb_utils.calls] == ["big_text_encoder_3", "big_text_encoder", "big_text_encoder_2"]


def test_an_answer_outlives_the_response_it_came_in() -> None:
    memory = np.ones((1, 3, 2, 2), np.float32)
    pb_utils = FakePbUtils({"demo_vae_decoder": lambda _arrays: iter([answering({"picture": memory})])})
    decoded = served_networks(pb_utils, "demo", "sd").decode_latents(np.zeros((1, 4, 1, 1), np.float32))
    memory[:] = 7  # as Triton does once the response is gone
    assert (decoded == 1).all()


@pytest.mark.parametrize(
    "message",
    [
        "Stub process 'demo_unet_0_0' is not healthy.",
        "Model 'demo_unet' is not ready.",
        "Request for unknown model: 'demo_unet' is not found",
        "Request for unknown model: 'demo_unet' has no available versions",
    ],
)
def test_a_network_that_is_gone_is_named(message: str) -> None:
    pb_utils = FakePbUtils({"demo_unet": lambda _arrays: iter([failing(message)])})
    with pytest.raises(ModelUnavailable) as caught:
        served_networks(pb_utils, "demo", "sd").denoise({"latents": np.zeros((1, 4, 1, 1), np.float32)})
    assert caught.value.model == "demo_unet"


def test_what_a_failing_network_says_goes_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    pb_utils = FakePbUtils({"demo_unet": lambda _arrays: iter([failing("/secret/path broke")])})
    with pytest.raises(InternalFault) as caught:
        served_networks(pb_utils, "demo", "sd").denoise({"latents": np.zeros((1, 4, 1, 1), np.float32)})
    assert "secret" not in caught.value.detail
    assert "/secret/path broke" in caplog.text
