"""Fresh input, sent through an ensemble one step at a time, so that the step that fails is the one that is named."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from modelcore.contract import ServedModel
from modelcore.errors import ModelUnavailable, TriptychError
from modelcore.images import encode_png
from orchestrator.tensors import Array, Arrays, column_of_bytes

_PICTURE_SIDE_PX = 16
KNOWN_PICTURE = encode_png(Image.new("RGB", (_PICTURE_SIDE_PX, _PICTURE_SIDE_PX), "gray"))


class Serves(Protocol):
    async def infer(self, model: str, inputs: Mapping[str, Array], *, deadline_s: float) -> Arrays: ...

    async def is_model_ready(self, model: str, *, deadline_s: float) -> bool: ...


@dataclass(frozen=True)
class Failure:
    model: str
    error: TriptychError


@dataclass(frozen=True)
class Walk:
    """How far one ensemble was walked. Steps behind a failure are not known to be well."""

    passed: tuple[str, ...]
    failure: Failure | None = None


async def walk(triton: Serves, ensemble: ServedModel, seeds: Mapping[str, Array], deadline_s: float) -> Walk:
    """Until the first step that fails. The output of one step is the input of the next."""
    tensors = {tensor.name: seeds[tensor.name] for tensor in ensemble.inputs}
    passed: tuple[str, ...] = ()
    for step in ensemble.steps:
        inputs = {own: tensors[name] for own, name in step.inputs.items()}
        try:
            answer = await triton.infer(step.model, inputs, deadline_s=deadline_s)
        except ModelUnavailable as error:
            return Walk(passed, Failure(error.model, error))  # maybe one behind the step's own
        except TriptychError as error:
            return Walk(passed, Failure(step.model, error))
        tensors |= {name: answer[own] for own, name in step.outputs.items()}
        passed = (*passed, step.model)
    return await _end_of_walk(triton, ensemble, passed, deadline_s)


async def _end_of_walk(triton: Serves, ensemble: ServedModel, passed: tuple[str, ...], deadline_s: float) -> Walk:
    """An ensemble has no process that could die, but it may be missing: Triton drops it along with its steps."""
    try:
        if await triton.is_model_ready(ensemble.name, deadline_s=deadline_s):
            return Walk((*passed, ensemble.name))
    except TriptychError as error:
        return Walk(passed, Failure(ensemble.name, error))
    return Walk(passed, Failure(ensemble.name, ModelUnavailable(ensemble.name, "not loaded")))


def fresh_seeds() -> dict[str, Array]:
    """By the names that ensembles give to what they take. What meets a cache on its way is such as none has seen."""
    size = (_PICTURE_SIDE_PX, _PICTURE_SIDE_PX)
    picture = Image.frombytes("RGB", size, os.urandom(3 * _PICTURE_SIDE_PX**2))
    return {
        "text": column_of_bytes([secrets.token_hex(8).encode()]),
        "image": column_of_bytes([encode_png(picture)]),
        "known_image": np.array([KNOWN_PICTURE], np.object_),
        "points": np.full((1, 1, 2), _PICTURE_SIDE_PX / 2, np.float32),
        "point_labels": np.ones((1, 1), np.int64),
        "prompt": np.array([b"-"], np.object_),
        "cancel": np.array([secrets.token_hex(8).encode()], np.object_),
    }
