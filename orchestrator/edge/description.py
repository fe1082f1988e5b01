"""The OpenAPI description, completed with what no route says by itself: keys, the errors of the edge, examples."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts

from orchestrator.edge.access import is_open
from orchestrator.edge.scopes import declared_scope
from orchestrator.examples import EXAMPLES
from orchestrator.schemas import error_components, openai_error_responses, problem_responses

_SCHEME = "ApiKey"
_NO_KEY: dict[str, list[str]] = {}  # OpenAPI's way to say that none will do, too
_ABOUT_KEYS = (
    "`Authorization: Bearer tt_...`. On a loopback address none is needed unless the server was told to ask for it; "
    "a wrong one is refused everywhere. Scopes: read (looking, analyses, your gallery and jobs), create (whatever is "
    "kept), admin (what concerns everybody)."
)
_OF_THE_GUARD = (401, 403, 429)
_FRAMEWORKS_OWN = {"HTTPValidationError", "ValidationError"}
_OF_THE_HEAD = (400,)  # a query that names a field twice; see head_limits.py


def complete_description(app: FastAPI, *, keys_are_needed: bool) -> None:
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(app, generate(), [] if keys_are_needed else [_NO_KEY])
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(app: FastAPI, description: dict[str, Any], besides_a_key: list[dict[str, list[str]]]) -> None:
    components = description.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _FRAMEWORKS_OWN & schemas.keys():
        del schemas[name]
    schemas.update(error_components())
    for name in EXAMPLES.keys() & schemas.keys():
        schemas[name]["examples"] = [EXAMPLES[name]]
    components["securitySchemes"] = {_SCHEME: {"type": "http", "scheme": "bearer", "description": _ABOUT_KEYS}}
    routes = dict(_routes(app))
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            route = routes[path, method]
            _forget_frameworks_error(operation["responses"])
            _restore_examples(operation["responses"], route.responses)
            _add_errors(path, operation["responses"], _OF_THE_HEAD)
            operation["security"] = []
            if not is_open(path):
                operation["security"] = [{_SCHEME: [declared_scope(route.endpoint) or "admin"]}, *besides_a_key]
                _add_errors(path, operation["responses"], _OF_THE_GUARD)


def _forget_frameworks_error(responses: dict[str, Any]) -> None:
    """FastAPI promises its own 422 wherever there is a parameter and a route names no other. None is ever sent."""
    content = responses.get("422", {}).get("content", {}).get("application/json", {})
    if content.get("schema", {}).get("$ref", "").rpartition("/")[2] in _FRAMEWORKS_OWN:
        del responses["422"]


def _restore_examples(responses: dict[str, Any], declared: dict[int | str, dict[str, Any]]) -> None:
    """FastAPI leaves out every null of an example, also where the shape wants one."""
    for status, response in declared.items():
        for media_type, content in response.get("content", {}).items():
            if "example" in content:
                responses[str(status)]["content"][media_type]["example"] = content["example"]


def _add_errors(path: str, responses: dict[str, Any], statuses: tuple[int, ...]) -> None:
    described = openai_error_responses if path.startswith("/v1/") else problem_responses
    for status, response in described(*statuses).items():
        responses.setdefault(str(status), response)


def _routes(app: FastAPI) -> Iterator[tuple[tuple[str | None, str], RouteContext]]:
    for route in iter_route_contexts(app.routes):
        for method in route.methods or ():
            yield (route.path, method.lower()), route
