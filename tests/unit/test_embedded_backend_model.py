"""The backend's edge towards Triton, with a stand-in for the helper module that only Triton's stub has."""

import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.triton import onnx_models

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


@pytest.mark.parametrize(("most_bytes", "threads"), [(2**20, [0, 1]), (1, [0])])
def test_small_models_that_may_split_rows_get_a_session_of_one_thread(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int, threads: list[int]
) -> None:
    onnx_models.save(tmp_path, "net", "", double())
    backend = type(model)._load.__globals__
    settings, open_session = backend["ort_settings"], backend["_open_session"]
    monkeypatch.setattr(settings, "SPLIT_AT_MOST_BYTES", most_bytes)
    monkeypatch.setattr(settings, "cores_to_split_for", lambda _config, _device: 2)
    opened: list[int] = []

    def noting(file: Path, options: Any, providers: Any) -> Any:
        opened.append(options.intra_op_num_threads)
        return open_session(file, options, providers)

    monkeypatch.setitem(backend, "_open_session", noting)
    model._load(arguments(tmp_path / "net"))
    assert opened == threads
    (answer,) = model._run(["y"], {"x": np.array([[1], [2]], np.float32)})
    assert answer.tolist() == [[2], [4]]


def double() -> Any:
    onnx_value = onnx_models.value
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    return onnx_models.graph(nodes, [onnx_value("x", ["rows", 1])], [onnx_value("y", ["rows", 1])])


def arguments(folder: Path) -> dict[str, str]:
    tensor = {"data_type": "TYPE_FP32", "dims": [1]}
    config = {"max_batch_size": 8, "input": [{"name": "x", **tensor}], "output": [{"name": "y", **tensor}]}
    return {
        "model_name": "net",
        "model_config": json.dumps(config),
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
        "model_repository": str(folder),
        "model_version": "1",
    }
