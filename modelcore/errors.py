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
direct client of Triton can read it and the orchestrator can raise the same error again. Where another time than usual
is good for trying again, it stands at the end, in seconds: `detail [code field retry=5]`.
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
    usual_retry_s: ClassVar[int] = 1

    def __init__(self, detail: str, *, field: str = "", retry_after_s: int | None = None) -> None:
        super().__init__(detail, field=field)
        self.retry_after_s = self.usual_retry_s if retry_after_s is None else retry_after_s


class Overloaded(Unavailable):
    code = "overloaded"


class DeadlineExceeded(Unavailable):
    code = "deadline_exceeded"


class ModelUnavailable(Unavailable):
    code = "model_unavailable"
    usual_retry_s = 5

    def __init__(self, model: str, detail: str, *, retry_after_s: int | None = None) -> None:
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
_WIRE_TAIL = re.compile(
    r"(?P<detail>.*) \[(?P<code>[a-z_]+)(?: (?P<field>[a-z0-9_.-]+))?(?: retry=(?P<retry>[0-9]{1,5}))?\]$", re.DOTALL
)
# Triton puts this in front of an error that came out of a step of an ensemble.
_ENSEMBLE_PREFIX = re.compile(r"^in ensemble '[^']*', ")


def to_wire(error: TriptychError) -> str:
    subject = error.model if isinstance(error, ModelUnavailable) else error.field
    words = (error.code, subject, _retry_word(error))
    return f"{error.detail} [{' '.join(word for word in words if word)}]"


def _retry_word(error: TriptychError) -> str:
    if isinstance(error, Unavailable) and error.retry_after_s != error.usual_retry_s:
        return f"retry={error.retry_after_s}"
    return ""


def from_wire(message: str) -> TriptychError | None:
    """The error that `to_wire` wrote, or None for a message that is not ours."""
    match = _WIRE_TAIL.match(_ENSEMBLE_PREFIX.sub("", message.strip()))
    if match is None:
        return None
    detail, field = match["detail"], match["field"] or ""
    retry_after_s = int(match["retry"]) if match["retry"] else None
    if match["code"] == ModelUnavailable.code:
        return ModelUnavailable(field, detail, retry_after_s=retry_after_s)
    kind = next((kind for kind in ERRORS_ON_THE_WIRE if kind.code == match["code"]), None)
    if kind is not None and issubclass(kind, Unavailable):
        return kind(detail, field=field, retry_after_s=retry_after_s)
    return None if kind is None else kind(detail, field=field)
