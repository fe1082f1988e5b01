"""Server-sent events. A client that goes away ends the source of them at once, wherever it was."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE_EVERY_S = 15.0
_STILL_HERE = ": still here\n\n"
# Proxies that gather an answer before they pass it on would make a stream useless.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """`events` are ready-made by `event`; `source` is closed when the answer ends, even where none was read.

    Long pauses are filled.
    """

    media_type = MEDIA_TYPE

    def __init__(self, events: AsyncGenerator[str, None], source: AsyncGenerator[Any, None]) -> None:
        filled = with_keep_alive(events, KEEP_ALIVE_EVERY_S)
        super().__init__(filled, headers=_HEADERS)
        self._closing = (filled, events, source)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            for generator in self._closing:
                await generator.aclose()


def event(name: str, document: Any, event_id: int | None = None) -> str:
    """JSON has no line breaks of its own, so one line of data holds it."""
    first = "" if event_id is None else f"id: {event_id}\n"
    return f"{first}event: {name}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n"


async def with_keep_alive(events: AsyncGenerator[str, None], every_s: float) -> AsyncGenerator[str, None]:
    """Comments in the pauses, so that nobody between us and the client takes the silence for an end."""
    coming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=every_s)
            if not coming.done():
                yield _STILL_HERE
                continue
            if (text := coming.result()) is None:
                return
            yield text
            coming = asyncio.ensure_future(anext(events, None))
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await events.aclose()
