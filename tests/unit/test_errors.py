import pytest

from modelcore import errors
from modelcore.errors import (
    InternalFault,
    InvalidInput,
    ModelUnavailable,
    Overloaded,
    TooLarge,
    Unavailable,
    from_wire,
    to_wire,
)


@pytest.mark.parametrize("kind", errors.ERRORS_ON_THE_WIRE)
def test_an_error_survives_the_wire(kind: type[errors.TriptychError]) -> None:
    sent = kind("steps must be between 1 and 100: 0", field="steps")
    received = from_wire(to_wire(sent))
    assert (type(received), received and received.detail, received and received.field) == (kind, sent.detail, "steps")


def test_which_model_is_unavailable_survives_the_wire() -> None:
    received = from_wire(to_wire(ModelUnavailable("sd35-medium_unet", "the model has stopped")))
    assert isinstance(received, ModelUnavailable)
    assert (received.model, received.detail) == ("sd35-medium_unet", "the model has stopped")


@pytest.mark.parametrize(
    "sent",
    [
        Overloaded("64 pictures are in work; ask again in about 5 s", retry_after_s=5),
        Overloaded("no room", field="num_images", retry_after_s=7),
        Unavailable("the server is stopping", retry_after_s=10),
        ModelUnavailable("demo_unet", "the model has stopped", retry_after_s=30),
        ModelUnavailable("demo_unet", "the model has stopped"),
        Unavailable("the request was cancelled"),
    ],
    ids=str,
)
def test_when_to_try_again_survives_the_wire(sent: Unavailable) -> None:
    received = from_wire(to_wire(sent))
    assert isinstance(received, Unavailable)
    assert (type(received), received.detail, received.field) == (type(sent), sent.detail, sent.field)
    assert received.retry_after_s == sent.retry_after_s


def test_a_time_is_told_only_where_it_is_not_the_usual_one() -> None:
    """So that a program that knows the code and the field alone reads almost every message."""
    assert to_wire(Overloaded("no row is free")) == "no row is free [overloaded]"
    assert to_wire(ModelUnavailable("clip_text", "it is away")) == "it is away [model_unavailable clip_text]"
    assert to_wire(Overloaded("full", retry_after_s=5)) == "full [overloaded retry=5]"


def test_an_error_without_a_field_survives_the_wire() -> None:
    received = from_wire(to_wire(TooLarge("too big")))
    assert isinstance(received, TooLarge)
    assert received.field == ""


def test_the_prefix_of_an_ensemble_is_taken_off() -> None:
    received = from_wire("in ensemble 'clip_image_bytes', the picture is empty: 0 bytes [invalid_input image]")
    assert isinstance(received, InvalidInput)
    assert received.detail == "the picture is empty: 0 bytes"


@pytest.mark.parametrize("message", ["Stub process 'a' is not healthy.", "x [unknown_code]", "", "[invalid_input]"])
def test_a_foreign_message_is_not_mistaken_for_ours(message: str) -> None:
    assert from_wire(message) is None


def test_an_internal_fault_is_told_apart_on_the_wire() -> None:
    assert isinstance(from_wire(to_wire(InternalFault("internal fault 1"))), InternalFault)


def test_every_code_is_used_once() -> None:
    codes = [kind.code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")]
    assert len(codes) == len(set(codes))
