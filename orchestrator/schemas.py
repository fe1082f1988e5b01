"""What the schemas of all endpoints share: strictness, and how an error looks in OpenAPI."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class StrictRequest(BaseModel):
    """No "20" for 20, no 1 for true, no field we do not know."""

    model_config = ConfigDict(strict=True, extra="forbid")


class FieldProblemBody(BaseModel):
    field: str
    message: str


class ProblemBody(BaseModel):
    """RFC 9457, with our stable `code` and the id under which the log tells more."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldProblemBody]


class OpenAIErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str
    request_id: str


class OpenAIErrorBody(BaseModel):
    error: OpenAIErrorDetail


_DESCRIPTIONS = {
    400: "The request cannot be parsed, or asks for something that is not supported.",
    401: "An API key is needed, or the one that came is not valid.",
    403: "The API key does not have the scope that this takes.",
    404: "There is no such thing, or it is not yours.",
    408: "The body did not arrive in time.",
    409: "It contradicts what is there: a request with this Idempotency-Key is in progress, or was of another kind.",
    413: "The body, or a picture in it, is too large.",
    415: "The content type, or the format of a picture, is not one we read.",
    422: "The request can be parsed but not accepted; the field is named.",
    429: "More than your share: of requests a minute, of waiting jobs, or of work a day.",
    503: "Not at the moment; Retry-After says when to try again.",
}

_HEADERS = {
    401: ("WWW-Authenticate", "How to say who you are.", "string"),
    429: ("Retry-After", "Seconds to wait.", "integer"),
    503: ("Retry-After", "Seconds to wait.", "integer"),
}

Responses = dict[int | str, dict[str, Any]]


def problem_responses(*statuses: int) -> Responses:
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    return {status: _response(status, "application/problem+json", schema) for status in statuses}


def openai_error_responses(*statuses: int) -> Responses:
    schema = {"$ref": "#/components/schemas/OpenAIErrorBody"}
    return {status: _response(status, "application/json", schema) for status in statuses}


def error_components() -> dict[str, Any]:
    """The two schemas that the responses above refer to."""
    template = "#/components/schemas/{model}"
    components: dict[str, Any] = {}
    for body in (ProblemBody, OpenAIErrorBody):
        schema = body.model_json_schema(ref_template=template)
        components |= schema.pop("$defs", {})
        components[body.__name__] = schema
    return components


def _response(status: int, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": _DESCRIPTIONS[status],
        "content": {media_type: {"schema": schema}},
    }
    if status in _HEADERS:
        name, about, kind = _HEADERS[status]
        response["headers"] = {name: {"description": about, "schema": {"type": kind}}}
    return response
