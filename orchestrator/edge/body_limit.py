"""No request body gets further than its limit, whether or not it said how long it is."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelcore.errors import TooLarge
from orchestrator.edge.problems import problem_response
from orchestrator.errors import problem_of


class BodyLimit:
    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _declared_bytes(scope) > self._limit_bytes:
            await self._refuse(scope, receive, send)
        else:
            await self._count(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever the app makes of the interrupted body, the answer is ours as long as none has begun."""
        read_bytes = 0
        started = False

        async def counted_receive() -> Message:
            nonlocal read_bytes
            message = await receive()
            read_bytes += len(message.get("body", b""))
            if read_bytes > self._limit_bytes:
                raise self._too_large()
            return message

        async def watched_send(message: Message) -> None:
            nonlocal started
            if read_bytes > self._limit_bytes and not started:
                return
            started = True
            await send(message)

        try:
            await self._app(scope, counted_receive, watched_send)
        except TooLarge:
            if read_bytes <= self._limit_bytes:
                raise
        if read_bytes > self._limit_bytes and not started:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = problem_response(scope["path"], problem_of(self._too_large()))
        await response(scope, receive, send)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body may have {self._limit_bytes} bytes")


def _declared_bytes(scope: Scope) -> int:
    """0 where nothing usable is declared: then the bytes are counted as they come."""
    declared = Headers(scope=scope).get("content-length", "0")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 20 else 0
