"""Whom a dead stub's message blames. The rest of the table is tested over a real socket, in tests/service."""

import grpc
import pytest

from modelcore.errors import ModelUnavailable
from orchestrator.upstream_status import domain_error

MODELS = ("clip_text", "clip_text_string", "x_2")


@pytest.mark.parametrize(
    ("instance", "model"),
    [
        ("clip_text_0_0", "clip_text"),
        ("clip_text_0", "clip_text"),
        ("clip_text_0_0_gpu0", "clip_text"),
        ("clip_text_string_0", "clip_text_string"),
        ("x_2_0_1", "x_2"),
        ("unheard_of_0", "called"),
    ],
)
def test_a_dead_stubs_model_is_named_after_its_instance(instance: str, model: str) -> None:
    message = f"in ensemble 'clip_text_string', Failed to process the request(s) for model '{instance}', "
    message += f"message: Stub process '{instance}' is not healthy."
    error = domain_error(grpc.StatusCode.INTERNAL, message, "called", MODELS)
    assert isinstance(error, ModelUnavailable)
    assert error.model == model


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Request for unknown model: 'demo' is not found", "model_unavailable"),
        ("[request id: 1] Exceeds maximum queue size", "overloaded"),
        ("steps must be between 1 and 100: 0 [invalid_input steps]", "invalid_input"),
        ("whatever else", "internal_fault"),
    ],
)
def test_an_error_in_a_stream_is_read_from_its_text_alone(message: str, code: str) -> None:
    assert domain_error(grpc.StatusCode.UNKNOWN, message, "demo", MODELS).code == code
