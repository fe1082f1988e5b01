"""The demo family under any name for a Triton of a test's own, and clients that ask it."""

import queue
import shutil
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.http
from numpy.typing import NDArray

from modelcore.diffusion_models import diffusion_models
from modelcore.pbtxt import render
from modelcore.pipeline_models import pipeline_models
from triptych.painting import _NUMPY
from triptych.project import MODEL_REPOSITORY

Event = dict[str, NDArray[Any]]


def copy_demo_family(repository: Path, name: str) -> None:
    """The demo family as it is exported in this project, under any name."""
    for model in (*diffusion_models(name, "sd"), *pipeline_models(name)):
        version = MODEL_REPOSITORY / f"demo{model.name.removeprefix(name)}" / "1"
        shutil.copytree(version, repository / model.name / "1")
        (repository / model.name / "config.pbtxt").write_text(render(model))


def inputs(family: str, wishes: dict[str, Any], module: Any = triton) -> list[Any]:
    """Tensors of the types that the pipeline declares."""
    types = {tensor.name: tensor.data_type for tensor in pipeline_models(family)[0].inputs}
    made = []
    for name, value in wishes.items():
        array = np.array(value, dtype=_NUMPY[types[name]]).reshape(-1)
        made.append(module.InferInput(name, list(array.shape), types[name]))
        made[-1].set_data_from_numpy(array)
    return made


@dataclass
class Stream:
    """One request over a stream of its own. Ends with the final flag, or with an error."""

    address: str
    family: str
    wishes: dict[str, Any]
    events: list[Event] = field(default_factory=list)
    error: Any = None
    is_over: bool = False

    def run(self, on_event: Callable[["Stream"], None] = lambda _stream: None) -> "Stream":
        answers: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self.client = triton.InferenceServerClient(self.address)
        # Without the header `triton_grpc_error`, which can end Triton 2.51: so an error has its code in its text only.
        self.client.start_stream(lambda result, error: answers.put((result, error)))
        try:
            given = inputs(self.family, self.wishes)
            self.client.async_stream_infer(self.family, given, enable_empty_final_response=True)
            while not self._take(*answers.get(timeout=60)):
                on_event(self)
            self.is_over = True
        finally:
            self.client.stop_stream(cancel_requests=not self.is_over)
            self.client.close()
        return self

    def _take(self, result: Any, error: Any) -> bool:
        if error is not None:
            self.error = error
            return True
        response = result.get_response()
        if response.outputs:
            self.events.append({output.name: result.as_numpy(output.name) for output in response.outputs})
        return bool(response.parameters["triton_final_response"].bool_param)

    @property
    def images(self) -> list[bytes]:
        return [event["image"][0] for event in self.events if "image" in event]


def ask_once(address: str, family: str, wishes: dict[str, Any], *, over_http: bool = False) -> Any:
    module = tritonclient.http if over_http else triton
    with module.InferenceServerClient(address) as client:
        return client.infer(f"{family}_image", inputs(family, wishes, module))


def metric(address: str, name: str, model: str) -> float:
    """Of Triton's metrics port; 0 where it does not exist yet."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f'{name}{{model="{model}"'))
