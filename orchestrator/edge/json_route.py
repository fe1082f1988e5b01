"""Routes that read JSON strictly, before FastAPI sees it."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import params
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from modelcore.errors import UnsupportedFormat
from orchestrator.edge.strict_json import (
    check_nodes,
    document_of,
    has_only_plain_texts,
    parse_strict_json,
    readable_text,
)
from orchestrator.errors import shortened

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]
# Of parameters JSON has none (RFC 8259), but many clients send the charset.
_JSON_IN_UTF8 = re.compile(r'application/json[ \t]*(?:;[ \t]*charset="?(?:utf-8|us-ascii)"?[ \t]*)?;?', re.IGNORECASE)
_LARGE_BYTES = 1024 * 1024


class StrictJsonRoute(APIRoute):
    """Give it to a router as `route_class`. Routes without a body, or with a form, are left alone."""

    def get_route_handler(self) -> _Handler:
        handle = super().get_route_handler()
        if self.body_field is None or isinstance(self.body_field.field_info, params.Form):
            return handle

        async def read_then_handle(request: Request) -> Response:
            strict = _ParsedRequest(request.scope, request.receive)
            await strict.parse()
            return await handle(strict)

        return read_then_handle


class _ParsedRequest(Request):
    """FastAPI turns every error inside `json()` into its own 400, so the work is done before it asks."""

    async def parse(self) -> None:
        body = await self.body()
        if body:
            check_content_type(self.headers.get("content-type", ""))
            self._document = await read_json(body)

    async def json(self) -> Any:
        return self._document


async def read_json(body: bytes) -> Any:
    """As parse_strict_json does. Of a large body each part takes long, and others are served in between."""
    if len(body) <= _LARGE_BYTES:
        return parse_strict_json(body)
    text = readable_text(body)
    await asyncio.sleep(0)
    document = document_of(text)
    await asyncio.sleep(0)
    check_nodes(document, texts_are_plain=has_only_plain_texts(text))
    await asyncio.sleep(0)
    return document


def check_content_type(value: str) -> None:
    if not _JSON_IN_UTF8.fullmatch(value.strip(" \t")):
        raise UnsupportedFormat(f"the body must be application/json in UTF-8: {shortened(value)!r}")
