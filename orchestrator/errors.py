"""The one table from domain error to HTTP, and the two shapes an error is written in. Knows no web framework."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelcore.errors import (
    Conflict,
    InternalFault,
    InvalidInput,
    KeyRefused,
    Malformed,
    NotAllowed,
    NotFound,
    NotSupported,
    QuotaExceeded,
    SetupProblem,
    TooLarge,
    TriptychError,
    Unavailable,
    UnsupportedFormat,
)

# The first match wins, so a class stands before its bases.
STATUS_OF: tuple[tuple[type[TriptychError], int, str], ...] = (
    (Malformed, 400, "The request cannot be read"),
    (NotSupported, 400, "Not supported"),
    (KeyRefused, 401, "An API key is needed"),
    (NotAllowed, 403, "Not allowed"),
    (NotFound, 404, "Not found"),
    (Conflict, 409, "Conflict"),
    (TooLarge, 413, "Too large"),
    (UnsupportedFormat, 415, "Unsupported format"),
    (InvalidInput, 422, "The request is not acceptable"),
    (QuotaExceeded, 429, "Too many requests"),
    (Unavailable, 503, "Not available at the moment"),
    (InternalFault, 500, "Internal error"),
    (SetupProblem, 500, "Internal error"),
    (TriptychError, 500, "Internal error"),
)
INTERNAL_DETAIL = "Something went wrong on our side. The log tells more under this request id."
ECHO_LIMIT = 64


@dataclass(frozen=True)
class FieldProblem:
    """What is wrong with one field of a request."""

    field: str
    message: str


@dataclass(frozen=True)
class Problem:
    """An error on its way out, before it is given a shape."""

    status: int
    title: str
    code: str
    detail: str
    fields: tuple[FieldProblem, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def problem_of(error: TriptychError) -> Problem:
    status, title = next((status, title) for kind, status, title in STATUS_OF if isinstance(error, kind))
    if status == 500:
        return internal_problem()
    detail = error.detail
    fields = (FieldProblem(error.field, detail),) if error.field else ()
    return Problem(status, title, error.code, detail, fields, _headers(error))


def internal_problem() -> Problem:
    return Problem(500, "Internal error", InternalFault.code, INTERNAL_DETAIL)


def shortened(text: str) -> str:
    """Client input as far as it may be echoed."""
    return text if len(text) <= ECHO_LIMIT else text[: ECHO_LIMIT - 1] + "…"


def as_problem_json(problem: Problem, request_id: str) -> dict[str, Any]:
    """RFC 9457. `type` stays about:blank: `code` is the stable name, and there is no page behind it."""
    return {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "request_id": request_id,
        "errors": [{"field": item.field, "message": item.message} for item in problem.fields],
    }


def as_openai_json(problem: Problem, request_id: str) -> dict[str, Any]:
    """OpenAI's shape, with our request id beside it."""
    param = problem.fields[0].field if problem.fields else None
    code = "model_not_found" if (problem.code, param) == (NotFound.code, "model") else problem.code
    return {
        "error": {
            "message": problem.detail,
            "type": _openai_type(problem.status),
            "param": param,
            "code": code,
            "request_id": request_id,
        }
    }


def _openai_type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"


def _headers(error: TriptychError) -> dict[str, str]:
    if isinstance(error, Unavailable | QuotaExceeded):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, KeyRefused):
        return {"WWW-Authenticate": "Bearer"}
    return {}
