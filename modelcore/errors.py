"""Every error Triptych raises on purpose. Knows nothing of HTTP, gRPC or Triton.

    TriptychError
    ├── Malformed              the bytes cannot be parsed at all
    ├── NotSupported           understood, but not something we do
    ├── TooLarge               over a size that is known before any work
    ├── UnsupportedFormat      a kind of picture we do not read
    ├── InvalidInput           parseable, but not acceptable; names the field
    ├── KeyRefused             an API key is needed, or the one that came is none of ours
    ├── NotAllowed             the API key may not do that
    ├── NotFound               no such thing, or not yours
    ├── Conflict               contradicts what is already there
    ├── QuotaExceeded          your limit
    ├── Unavailable            our limit, or a part that is down; try again later
    │   ├── Overloaded         a queue is full
    │   ├── DeadlineExceeded   an answer did not come in time
    │   └── ModelUnavailable   a served model is dead, hung or not loaded; names the model
    ├── InternalFault          our own mistake; the log has the story under its id
    └── SetupProblem           this machine or configuration cannot serve; one clear line

An error crosses Triton as one line, `detail [code field]`, written by `to_wire` and read by `from_wire`, so that a
direct client of Triton can read it and the orchestrator can raise the same error again.
"""

import re
from typing import ClassVar


class TriptychError(Exception):
    """The root. `code` is the stable name clients may test; `detail` is one sentence for a person."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str, *, field: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class Malformed(TriptychError):
    code = "malformed"


class NotSupported(TriptychError):
    code = "not_supported"


class TooLarge(TriptychError):
    code = "too_large"


class UnsupportedFormat(TriptychError):
    code = "unsupported_format"


class InvalidInput(TriptychError):
    code = "invalid_input"


class KeyRefused(TriptychError):
    code = "invalid_api_key"


class NotAllowed(TriptychError):
    code = "not_allowed"


class NotFound(TriptychError):
    code = "not_found"


class Conflict(TriptychError):
    code = "conflict"


class QuotaExceeded(TriptychError):
    code = "quota_exceeded"

    def __init__(self, detail: str, *, field: str = "", retry_after_s: int = 1) -> None:
        super().__init__(detail, field=field)
        self.retry_after_s = retry_after_s


class Unavailable(TriptychError):
    code = "unavailable"

    def __init__(self, detail: str, *, field: str = "", retry_after_s: int = 1) -> None:
        super().__init__(detail, field=field)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    code = "overloaded"


class DeadlineExceeded(Unavailable):
    code = "deadline_exceeded"


class ModelUnavailable(Unavailable):
    code = "model_unavailable"

    def __init__(self, model: str, detail: str, *, retry_after_s: int = 5) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)
        self.model = model


class InternalFault(TriptychError):
    code = "internal_fault"


class SetupProblem(TriptychError):
    code = "setup_problem"


# What a stub may say to its caller. Everything else that happens inside a model is an InternalFault.
ERRORS_ON_THE_WIRE: tuple[type[TriptychError], ...] = (
    Malformed,
    TooLarge,
    UnsupportedFormat,
    InvalidInput,
    NotFound,
    Overloaded,
    Unavailable,
    InternalFault,
)
_WIRE_TAIL = re.compile(r"(?P<detail>.*) \[(?P<code>[a-z_]+)(?: (?P<field>[a-z0-9_.-]+))?\]$", re.DOTALL)
# Triton puts this in front of an error that came out of a step of an ensemble.
_ENSEMBLE_PREFIX = re.compile(r"^in ensemble '[^']*', ")


def to_wire(error: TriptychError) -> str:
    subject = error.model if isinstance(error, ModelUnavailable) else error.field
    tail = f"{error.code} {subject}" if subject else error.code
    return f"{error.detail} [{tail}]"


def from_wire(message: str) -> TriptychError | None:
    """The error that `to_wire` wrote, or None for a message that is not ours."""
    match = _WIRE_TAIL.match(_ENSEMBLE_PREFIX.sub("", message.strip()))
    if match is None:
        return None
    if match["code"] == ModelUnavailable.code:
        return ModelUnavailable(match["field"] or "", match["detail"])
    for kind in ERRORS_ON_THE_WIRE:
        if kind.code == match["code"]:
            return kind(match["detail"], field=match["field"] or "")
    return None
