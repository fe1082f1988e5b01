"""The backend's edge towards Triton, with a stand-in for the helper module that only Triton's stub has."""

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import pytest

BACKEND = Path(__file__).parents[2] / "embedded" / "backends" / "onnxruntime"


class TritonError(Exception):
    INVALID_ARG, INTERNAL = 3, 1

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@pytest.fixture
def logged() -> list[str]:
    return []


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> Any:
    pb_utils = types.ModuleType("triton_python_backend_utils")
    pb_utils.TritonError = TritonError  # type: ignore[attr-defined]
    pb_utils.InferenceResponse = types.SimpleNamespace  # type: ignore[attr-defined]
    pb_utils.Logger = types.SimpleNamespace(log_error=logged.append)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", pb_utils)
    monkeypatch.syspath_prepend(BACKEND)
    monkeypatch.delitem(sys.modules, "model", raising=False)
    made = importlib.import_module("model").TritonPythonModel()
    made._name = "net"
    monkeypatch.delitem(sys.modules, "model")
    return made


def test_an_unforeseen_error_reaches_the_log_and_not_the_client(
    model: Any, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(requests: object) -> None:
        raise ZeroDivisionError("a secret path")

    monkeypatch.setattr(model, "_answer", fail)
    responses = model.execute(["first", "second"])
    assert [str(response.error) for response in responses] == [
        "model 'net' failed; the server's log has the reason"
    ] * 2
    assert {response.error.code for response in responses} == {TritonError.INTERNAL}
    assert "a secret path" in logged[0]
