"""Server-sent events. A client that goes away ends the source of them at once, wherever it was."""

import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
# Proxies that gather an answer before they pass it on would make a stream useless.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """`events` are ready-made by `event`; `source` is closed when the answer ends, even where none was read."""

    media_type = MEDIA_TYPE

    def __init__(self, events: AsyncGenerator[str, None], source: AsyncGenerator[Any, None]) -> None:
        super().__init__(events, headers=_HEADERS)
        self._closing = (events, source)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            for generator in self._closing:
                await generator.aclose()


def event(name: str, document: Any) -> str:
    """JSON has no line breaks of its own, so one line of data holds it."""
    return f"event: {name}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n"
