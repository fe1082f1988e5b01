"""Errors as HTTP answers: problem+json, and under /v1 OpenAI's shape. The table itself is in orchestrator.errors."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from modelcore.errors import TriptychError
from orchestrator.context import current_request
from orchestrator.edge.field_paths import field_path
from orchestrator.errors import FieldProblem, Problem, as_openai_json, as_problem_json, problem_of, shortened

_CODES = {400: "malformed", 404: "not_found", 405: "method_not_allowed"}
# Their clients know one error for all that is wrong with a request.
_STATUS_OF_OPENAI = {415: 400, 422: 400}
# What pydantic puts into a message and no client has sent.
_OF_OUR_SCHEMAS = {
    *("expected", "pattern", "field_type", "class_name", "multiple_of"),
    *("ge", "gt", "le", "lt", "min_length", "max_length", "actual_length"),
}
_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not take this method; the Allow header names those it takes.",
}


def install_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(TriptychError, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)


def problem_response(path: str, problem: Problem) -> JSONResponse:
    request_id = current_request.get().request_id
    if _speaks_openai(path):
        status = _STATUS_OF_OPENAI.get(problem.status, problem.status)
        return JSONResponse(as_openai_json(problem, request_id), status, dict(problem.headers))
    body = as_problem_json(problem, request_id)
    return JSONResponse(body, problem.status, dict(problem.headers), "application/problem+json")


def _speaks_openai(path: str) -> bool:
    return path.removeprefix("/api").startswith("/v1/")


async def _on_domain_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TriptychError)
    return problem_response(request.url.path, problem_of(error))


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    fields = tuple(
        # The first part of a location says where: body, query, path or header.
        FieldProblem(shortened(field_path(item["loc"][1:])) or "body", _message(item))
        for item in error.errors()
    )
    detail = "; ".join(f"{item.field}: {item.message}" for item in fields[:3])
    problem = Problem(422, "The request is not acceptable", "invalid_input", detail, fields)
    return problem_response(request.url.path, problem)


def _message(item: Mapping[str, Any]) -> str:
    """Our own words are told whole, such as every value that would do; what may repeat the client's is shortened."""
    message: str = item["msg"]
    return message if item.get("ctx", {}).keys() <= _OF_OUR_SCHEMAS else shortened(message)


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """What the framework says by itself: no such route, no such method."""
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    problem = Problem(
        status=error.status_code,
        title=phrase,
        code=_CODES.get(error.status_code, phrase.lower().replace(" ", "_")),
        detail=_DETAILS.get(error.status_code, phrase),
        headers=_with_head(error.headers or {}),
    )
    return problem_response(request.url.path, problem)


def _with_head(headers: Mapping[str, str]) -> dict[str, str]:
    """The framework does not know that whatever takes GET takes HEAD."""
    return {name: f"{value}, HEAD" if (name, value) == ("Allow", "GET") else value for name, value in headers.items()}
