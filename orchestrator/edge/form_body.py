"""A form, read within limits, to its end, and in pieces: its parser is Python, and others are served in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.types import Message, Receive

from modelcore.errors import Malformed
from orchestrator.errors import shortened

_MOST_TEXT_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
# Python knows others that take a third of a second for one field, and such as raise what nobody expects.
_CHARSETS = frozenset({"utf-8", "utf8"})


@asynccontextmanager
async def opened_form(request: Request, *, most_files: int, most_fields: int) -> AsyncIterator[FormData]:
    """The framework takes a form that is cut off for one that says less."""
    _, parameters = parse_options_header(request.headers.get("content-type", ""))
    charset = parameters.get(b"charset", b"utf-8").decode(errors="replace")
    if charset.lower() not in _CHARSETS:
        raise Malformed(f"a form's charset must be utf-8: {shortened(charset)!r}")
    body = await request.body()
    if b"--" + parameters.get(b"boundary", b"") + b"--" not in body:
        raise Malformed("the form has no end: its last boundary is missing")
    again = Request(request.scope, _in_pieces(body))
    async with again.form(max_files=most_files, max_fields=most_fields, max_part_size=_MOST_TEXT_BYTES) as form:
        yield form


def _in_pieces(body: bytes) -> Receive:
    """A turn of the event loop for each."""
    left = memoryview(body)

    async def receive() -> Message:
        nonlocal left
        await asyncio.sleep(0)
        piece, left = left[:_PIECE_BYTES], left[_PIECE_BYTES:]
        return {"type": "http.request", "body": bytes(piece), "more_body": bool(left)}

    return receive
