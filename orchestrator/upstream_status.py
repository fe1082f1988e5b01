"""The one table from Triton's gRPC statuses to domain errors. No text of Triton's gets further than this file."""

import re
from collections.abc import Collection

import grpc

from modelcore.errors import (
    DeadlineExceeded,
    InternalFault,
    InvalidInput,
    ModelUnavailable,
    Overloaded,
    TriptychError,
    Unavailable,
    from_wire,
)

_DEAD_STUB = re.compile(r"Stub process '(?P<instance>[^']+)' is not healthy")
_QUEUE = re.compile(r"queue size|[Tt]imeout expired|[Tt]imeout exceeded")
_NOT_LOADED = re.compile(r"unknown model|no available versions|is not ready|unloading")


def domain_error(code: grpc.StatusCode, message: str, model: str, models: Collection[str] = ()) -> TriptychError:
    """`model` is the one that was called, `models` all that exist: a message may blame a step of an ensemble."""
    ours = from_wire(message)
    if ours is not None:
        return ours
    dead = _DEAD_STUB.search(message)
    if dead is not None:
        return _dead_stub(_model_of_instance(dead["instance"], models) or model)
    return _by_code(code, message, model)


def _by_code(code: grpc.StatusCode, message: str, model: str) -> TriptychError:
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(f"the model {model} did not answer in time")
        case grpc.StatusCode.UNAVAILABLE:
            return _unavailable(message, model)
        case grpc.StatusCode.NOT_FOUND:
            return _not_loaded(model)
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.OUT_OF_RANGE:
            # Not one of our stubs' own refusals: Triton's core did not like a shape or a size.
            return InvalidInput(f"the model {model} does not take such an input")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return Overloaded("the inference server has no room for this at the moment")
        case grpc.StatusCode.CANCELLED | grpc.StatusCode.ABORTED:
            return Unavailable("the inference server gave up this call; try again")
        case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
            return Unavailable("the inference server does not let us in", retry_after_s=30)
        case grpc.StatusCode.UNKNOWN:
            return _without_status(message, model)
        case _:
            return InternalFault(f"the model {model} failed")


def _without_status(message: str, model: str) -> TriptychError:
    """In a stream Triton gives a text and no status."""
    if _QUEUE.search(message) or _NOT_LOADED.search(message):
        return _unavailable(message, model)
    return InternalFault(f"the model {model} failed")


def _unavailable(message: str, model: str) -> Unavailable:
    # Triton says UNAVAILABLE for a full queue, for a model that is not there, and by way of gRPC for itself.
    if _QUEUE.search(message):
        return Overloaded(f"the queue of the model {model} is full")
    if _NOT_LOADED.search(message):
        return _not_loaded(model)
    return Unavailable("the inference server cannot be reached", retry_after_s=2)


def _dead_stub(model: str) -> ModelUnavailable:
    return ModelUnavailable(model, f"the model {model} has stopped and is being repaired")


def _not_loaded(model: str) -> ModelUnavailable:
    return ModelUnavailable(model, f"the model {model} is not loaded")


def _model_of_instance(instance: str, models: Collection[str]) -> str | None:
    """`clip_tokenize_0_0` -> `clip_tokenize`: Triton names an instance after its model."""
    fitting = [name for name in models if instance == name or instance.startswith(f"{name}_")]
    return max(fitting, key=len, default=None)
