"""A family's networks, called inside Triton: each function is a request to the served model of that network.

Is handed `pb_utils`, as stub.py is. Knows which model answers what; knows nothing of what the numbers mean.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelcore.contract import Architecture, ServedModel
from modelcore.diffusion.networks import Networks
from modelcore.diffusion_models import diffusion_models
from modelcore.errors import InternalFault, ModelUnavailable, TriptychError

Arrays = Mapping[str, NDArray[Any]]
Call = Callable[[Arrays], dict[str, NDArray[Any]]]
Lost = Callable[[ModelUnavailable], None]

_log = logging.getLogger(__name__)

# Triton's words for a model that is not there, going, or whose process has died.
_GONE = re.compile(r"is not healthy|is not ready|unknown model|no available versions|unloading")


def served_networks(pb_utils: Any, family: str, architecture: Architecture, on_lost: Lost = lambda _: None) -> Networks:
    """Safe to use from many threads: Triton batches the calls that come together. `on_lost` hears of dead models."""
    calls = {
        model.name.removeprefix(f"{family}_"): model_call(pb_utils, model, on_lost)
        for model in diffusion_models(family, architecture)
    }
    denoise = calls["transformer" if architecture == "sd3" else "unet"]
    return Networks(
        encode_text=tuple(_encode_text(calls[name]) for name in sorted(calls) if name.startswith("text_encoder")),
        denoise=lambda arrays: denoise(arrays)["noise"],
        encode_picture=lambda picture: _pair(calls["vae_encoder"]({"picture": picture})),
        decode_latents=lambda latents: calls["vae_decoder"]({"latents": latents})["picture"],
    )


def model_call(pb_utils: Any, model: ServedModel, on_lost: Lost = lambda _: None) -> Call:
    """One served model as a function. More rows than it takes at once go in several calls."""
    names = [tensor.name for tensor in model.outputs]

    def call(arrays: Arrays) -> dict[str, NDArray[Any]]:
        try:
            answers = [_ask(pb_utils, model.name, part, names) for part in _parts(arrays, model.max_batch_size)]
        except ModelUnavailable as error:
            on_lost(error)
            raise
        if len(answers) == 1:
            return answers[0]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in names}

    return call


def _encode_text(call: Call) -> Callable[[NDArray[np.int64]], dict[str, NDArray[np.float32]]]:
    return lambda input_ids: call({"input_ids": input_ids})


def _pair(answer: dict[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    return answer["latents_mean"], answer["latents_deviation"]


def _parts(arrays: Arrays, max_rows: int) -> Sequence[Arrays]:
    rows = len(next(iter(arrays.values())))
    if not max_rows or rows <= max_rows:  # 0: a model without a batch dimension
        return [arrays]
    starts = range(0, rows, max_rows)
    return [{name: array[start : start + max_rows] for name, array in arrays.items()} for start in starts]


def _ask(pb_utils: Any, model: str, arrays: Arrays, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    inputs = [pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in arrays.items()]
    request = pb_utils.InferenceRequest(model_name=model, inputs=inputs, requested_output_names=list(names))
    try:
        response = request.exec()
    except pb_utils.TritonModelException as error:
        raise call_error(model, str(error)) from error
    if response.has_error():
        raise call_error(model, response.error().message())
    outputs = {name: pb_utils.get_output_tensor_by_name(response, name) for name in names}
    # Copies: what Triton hands out lies in memory that it takes back with the response.
    return {name: np.array(tensor.as_numpy()) for name, tensor in outputs.items()}


def call_error(model: str, message: str) -> TriptychError:
    """What a failed call from model to model means to whoever asked for a picture."""
    if _GONE.search(message):
        return ModelUnavailable(model, f"the model {model} has stopped or is not loaded; ask again in a few seconds")
    _log.error("the model %s failed: %s", model, message)
    return InternalFault(f"the model {model} failed; the server's log tells more")
