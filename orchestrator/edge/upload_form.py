"""Forms with more than one picture, as OpenAI's clients send them."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.requests import Request

from modelcore.errors import InvalidInput, Malformed, NotSupported, UnsupportedFormat
from orchestrator.edge.form_body import opened_form
from orchestrator.edge.picture_request import FILE_IN_EXAMPLES, accepted, form_schema, read_form_text
from orchestrator.errors import shortened

_MOST_FILES = 17  # theirs: 16 pictures and a mask; we say ourselves that one is enough
_MOST_FIELDS = 64
Wish = TypeVar("Wish", bound=BaseModel)


async def read_upload_form(
    request: Request, kind: type[Wish], names: Mapping[str, str]
) -> tuple[Wish, dict[str, bytes]]:
    """What is wished, and the files: `names` has the name of each in the form, and the one it gets here."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UnsupportedFormat("the body must be multipart/form-data")
    files: dict[str, bytes] = {}
    document: dict[str, Any] = {}
    async with opened_form(request, most_files=_MOST_FILES, most_fields=_MOST_FIELDS) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                _add_file(files, _known(names, name), await value.read())
            elif name in document:
                raise Malformed("the form names a field twice")
            else:
                document[name] = read_form_text(kind, name, value)
    if "image" not in files:
        raise InvalidInput("image is missing: send a PNG, JPEG or WebP file", field="image")
    return accepted(kind, document), files


def upload_body(kind: type[BaseModel], *files: str, example: Mapping[str, Any]) -> dict[str, Any]:
    """The same for OpenAPI; the first file is the one that must be there. Give it to a route as `openapi_extra`."""
    schema = form_schema(kind, {name: f"A PNG, JPEG or WebP file: {name}." for name in files})
    required = [files[0], *schema.get("required", [])]
    shown = dict.fromkeys(files, FILE_IN_EXAMPLES) | dict(example)
    content = {"multipart/form-data": {"schema": schema | {"required": required}, "example": shown}}
    return {"requestBody": {"required": True, "content": content}}


def _known(names: Mapping[str, str], name: str) -> str:
    if name not in names:
        raise InvalidInput(f"there is no file field {shortened(name)!r} here: {', '.join(names)}", field="image")
    return names[name]


def _add_file(files: dict[str, bytes], name: str, data: bytes) -> None:
    if name in files:
        raise NotSupported(f"{name} may be one file; there are more", field=name)
    files[name] = data
