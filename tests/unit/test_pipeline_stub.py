import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelcore import pipeline_stub
from modelcore.errors import ModelUnavailable
from modelcore.pipeline_stub import PipelineStub
from modelcore.stub import Arrays
from tests.fake_pb_utils import FakePbUtils, FakeRequest

NAMES = ("prompt", "cancel_token", "cancel")
GONE = ModelUnavailable("demo_unet", "the model demo_unet has stopped")


class FakeStudio:
    """Paints nothing; remembers what it was asked, and who listens."""

    def __init__(self, on_lost: Any) -> None:
        self.asked: list[tuple[Arrays, Any]] = []
        self.on_lost = on_lost

    def paint(self, arrays: Arrays, listener: Any) -> None:
        self.asked.append((arrays, listener))


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PipelineStub:
    monkeypatch.setattr(pipeline_stub, "open_studio", lambda _pb_utils, _family, _version, on_lost: FakeStudio(on_lost))
    config = json.dumps({"input": [{"name": name} for name in NAMES]})
    arguments = {"model_repository": str(tmp_path), "model_version": "1", "model_name": "demo", "model_config": config}
    return PipelineStub(FakePbUtils(), arguments)


def request(**texts: bytes) -> FakeRequest:
    return FakeRequest({name: np.array([text], dtype=object) for name, text in texts.items()})


def test_a_request_is_painted_without_what_is_not_about_pictures(stub: PipelineStub) -> None:
    stub.execute([request(prompt=b"a red circle", cancel_token=b"mine")])
    ((arrays, _),) = stub._studio.asked
    assert list(arrays) == ["prompt"]


def test_a_request_is_cancelled_by_its_token(stub: PipelineStub) -> None:
    cancelling = request(prompt=b"-", cancel=b"mine")
    stub.execute([request(prompt=b"a red circle", cancel_token=b"mine"), cancelling])
    ((_, listener),) = stub._studio.asked
    assert listener.is_cancelled()
    assert (cancelling.sender.sent, cancelling.sender.is_final) == ([], True)


def test_who_cancels_nothing_hears_of_a_dead_network_once(stub: PipelineStub) -> None:
    stub._studio.on_lost(GONE)
    first, second = request(prompt=b"-", cancel=b"x"), request(prompt=b"-", cancel=b"y")
    stub.execute([first, second])
    error = first.sender.sent[0].error()
    assert error is not None
    assert error.message() == "the model demo_unet has stopped [model_unavailable demo_unet]"
    assert (second.sender.sent, second.sender.is_final) == ([], True)


def test_who_cancels_his_own_picture_hears_of_nothing_else(stub: PipelineStub) -> None:
    stub._studio.on_lost(GONE)
    cancelling = request(prompt=b"-", cancel=b"mine")
    stub.execute([request(prompt=b"a red circle", cancel_token=b"mine"), cancelling])
    assert cancelling.sender.sent == []


@pytest.mark.parametrize("name", ["cancel", "cancel_token"])
@pytest.mark.parametrize(("token", "says"), [(b"", "1 to 256 bytes: 0"), (b"a" * 257, "1 to 256 bytes: 257")])
def test_a_token_that_is_none_is_refused_and_nothing_is_painted(
    stub: PipelineStub, name: str, token: bytes, says: str
) -> None:
    refused = request(prompt=b"a red circle", **{name: token})
    stub.execute([refused])
    error = refused.sender.sent[0].error()
    assert error is not None
    assert error.message() == f"{name} may have {says} [invalid_input {name}]"
    assert (error.code(), refused.sender.is_final, stub._studio.asked) == ("INVALID_ARG", True, [])
