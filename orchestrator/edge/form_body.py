"""A form, read within limits and to its end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.requests import Request

from modelcore.errors import Malformed

_MOST_TEXT_BYTES = 64 * 1024


@asynccontextmanager
async def opened_form(request: Request, *, most_files: int, most_fields: int) -> AsyncIterator[FormData]:
    """The framework takes a form that is cut off for one that says less."""
    _, parameters = parse_options_header(request.headers.get("content-type", ""))
    if b"--" + parameters.get(b"boundary", b"") + b"--" not in await request.body():
        raise Malformed("the form has no end: its last boundary is missing")
    async with request.form(max_files=most_files, max_fields=most_fields, max_part_size=_MOST_TEXT_BYTES) as form:
        yield form
