"""Requests about a picture, in the three ways they come: a form with the picture, JSON that names one, or no body.

FastAPI takes one kind of body for a route, so these routes read theirs here.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from modelcore.errors import InvalidInput, Malformed
from orchestrator.edge.form_body import opened_form
from orchestrator.edge.json_route import check_content_type, read_json
from orchestrator.edge.strict_json import check_nodes, parse_strict_json

FILE_IN_EXAMPLES = "the bytes of picture.png"
PICTURE_FIELDS = ("image", "file")
_MOST_FIELDS = 32
Wish = TypeVar("Wish", bound=BaseModel)


async def read_picture_request(request: Request, kind: type[Wish]) -> tuple[Wish, bytes | None]:
    """What is wished, and the picture that came with it."""
    content_type = request.headers.get("content-type", "")
    if content_type.lower().startswith("multipart/form-data"):
        return await _from_form(request, kind)
    body = await request.body()
    if not body:
        return accepted(kind, {}), None
    check_content_type(content_type)
    return accepted(kind, await read_json(body)), None


def picture_body(kind: type[BaseModel], example: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    """The same for OpenAPI. Give it to a route as `openapi_extra`."""
    content = {
        "application/json": {"schema": kind.model_json_schema(), "examples": {"example": {"value": example}}},
        "multipart/form-data": {
            "schema": form_schema(kind, {"image": "A PNG, JPEG or WebP file."}),
            "example": {"image": FILE_IN_EXAMPLES, **example},
        },
    }
    return {"requestBody": {"required": required, "content": content}}


def form_schema(kind: type[BaseModel], files: Mapping[str, str]) -> dict[str, Any]:
    """The wishes as a form has them, and files, each with what is to be said of it."""
    wishes = kind.model_json_schema()
    pictures = {name: {"type": "string", "format": "binary", "description": about} for name, about in files.items()}
    fields = {name: _never_null(field) for name, field in wishes["properties"].items()}
    return wishes | {"properties": {**pictures, **fields}}


def _never_null(field: dict[str, Any]) -> dict[str, Any]:
    """In a form a field is left out; there is no way to say null."""
    variants = [variant for variant in field.get("anyOf", ()) if variant != {"type": "null"}]
    rest = {key: value for key, value in field.items() if key != "anyOf" and (key, value) != ("default", None)}
    return {**rest, **variants[0]} if len(variants) == 1 else {**rest, "anyOf": variants} if variants else field


async def _from_form(request: Request, kind: type[Wish]) -> tuple[Wish, bytes | None]:
    async with opened_form(request, most_files=1, most_fields=_MOST_FIELDS) as form:
        _check_unique(form)
        picture = None
        document = {}
        for name, value in form.items():
            if isinstance(value, UploadFile):
                _check_picture_field(name)
                picture = await value.read()
            else:
                document[name] = read_form_text(kind, name, value)
    return accepted(kind, document), picture


def _check_unique(form: FormData) -> None:
    if len(form.multi_items()) != len(form):
        raise Malformed("the form names a field twice")


def _check_picture_field(name: str) -> None:
    if name not in PICTURE_FIELDS:
        raise InvalidInput(f"the picture's field must be {' or '.join(PICTURE_FIELDS)}", field="image")


def read_form_text(kind: type[BaseModel], name: str, text: str) -> Any:
    """A form knows only texts: fields that take text have it as it is, the others are JSON."""
    check_nodes({name: text})
    if _takes_text(kind, name) and not text.lstrip().startswith("["):
        return text
    try:
        value = parse_strict_json(text.encode())
    except Malformed:
        value = None
    return text if value is None else value  # of a text the schema says, by the field's name, what it should have been


def _takes_text(kind: type[BaseModel], name: str) -> bool:
    return name in _names_of_texts(kind)


@cache  # of the few kinds that there are: a schema takes milliseconds to make
def _names_of_texts(kind: type[BaseModel]) -> frozenset[str]:
    fields = kind.model_json_schema()["properties"]
    return frozenset(
        name
        for name, field in fields.items()
        if any(variant.get("type") == "string" for variant in (field, *field.get("anyOf", ())))
    )


def accepted(kind: type[Wish], document: Any) -> Wish:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in error.errors()]) from None
