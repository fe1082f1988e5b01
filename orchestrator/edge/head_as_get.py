"""Every address that answers GET answers HEAD: the same headers, and no body."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """The answer ends with its headers. To a stream, which would go on, its client is gone from then on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        is_answered = asyncio.Event()

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                is_answered.set()

        as_get = {**scope, "method": "GET"}
        try:
            await self._app(as_get, _receiving_until(is_answered, receive), send_head)
        finally:
            scope["route"] = as_get.get("route")  # for the log and the metrics, which stand outside


def _receiving_until(is_answered: asyncio.Event, receive: Receive) -> Receive:
    async def receive_or_leave() -> Message:
        receiving, leaving = asyncio.ensure_future(receive()), asyncio.ensure_future(is_answered.wait())
        try:
            await asyncio.wait({receiving, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return {"type": "http.disconnect"} if leaving.done() else receiving.result()
        finally:
            for task in (receiving, leaving):
                task.cancel()
            await asyncio.gather(receiving, leaving, return_exceptions=True)

    return receive_or_leave
