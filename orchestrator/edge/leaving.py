"""Work that ends when the client who wanted it is gone. The server tells of that, but stops nothing by itself."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Result = TypeVar("Result")


class ClientLeft(Exception):
    """Nobody is there to be answered."""


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The body must have been read: whatever comes after it says that the client is gone."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


def install_leaving_handler(app: FastAPI) -> None:
    app.add_exception_handler(ClientLeft, _on_client_left)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _NoAnswer(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends nothing, so that the log has the status 0 of a client that left."""


async def _on_client_left(_request: Request, _error: Exception) -> Response:
    return _NoAnswer()
