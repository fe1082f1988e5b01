"""No request body gets further than its limits: its bytes, its time, and the bytes that all of them hold together."""

import asyncio
from dataclasses import dataclass, replace
from typing import NoReturn

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelcore.errors import Overloaded, TooLarge
from orchestrator.edge.problems import problem_response
from orchestrator.errors import Problem, problem_of


@dataclass(frozen=True)
class BodyRules:
    limit_bytes: int
    total_bytes: int
    deadline_s: float


class BodyLimit:
    def __init__(self, app: ASGIApp, rules: BodyRules) -> None:
        self._app = app
        self._rules = rules
        self._all_bodies = _AllBodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _declared_bytes(scope) > self._rules.limit_bytes:
            await _refuse(_too_large(self._rules), scope, receive, send)
        else:
            await self._watch(scope, receive, send)

    async def _watch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever the app makes of the interrupted body, the answer is ours as long as none has begun.

        An answer that comes before the body is read ends the connection: the rest would be read, and thrown away, for
        as long as the client likes.
        """
        body = _Body(receive, self._rules, self._all_bodies, is_there=_has_body(scope))
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            if body.is_interrupted and not started:
                return
            if not started and body.is_unread:
                MutableHeaders(scope=message)["Connection"] = "close"
            started = True
            await send(message)

        try:
            await self._app(scope, body.receive, watched_send)
        except _Interrupted:
            pass
        finally:
            body.release()
        if body.problem is not None and not started:
            await _refuse(body.problem, scope, receive, send)


class _Interrupted(Exception):
    """Ends the reading of a body, through whatever layers read it."""


@dataclass
class _AllBodies:
    held_bytes: int = 0


class _Body:
    """One body on its way in."""

    def __init__(self, receive: Receive, rules: BodyRules, all_bodies: _AllBodies, *, is_there: bool) -> None:
        self._receive = receive
        self._rules = rules
        self._all_bodies = all_bodies
        self._deadline = asyncio.get_running_loop().time() + rules.deadline_s
        self._held_bytes = 0
        self._is_there = is_there
        self._is_whole = False
        self.is_interrupted = False
        self.problem: Problem | None = None

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()  # waits for the client to leave, however long we take to answer
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self._interrupt(_too_slow(self._rules))
        if message["type"] == "http.disconnect":
            self._interrupt(None)  # nobody is left to be told
        self._is_whole = not message.get("more_body", False)
        self._hold(len(message.get("body", b"")))
        return message

    @property
    def is_unread(self) -> bool:
        return self._is_there and not self._is_whole

    def release(self) -> None:
        self._all_bodies.held_bytes -= self._held_bytes

    def _hold(self, size_bytes: int) -> None:
        self._held_bytes += size_bytes
        self._all_bodies.held_bytes += size_bytes
        if self._held_bytes > self._rules.limit_bytes:
            self._interrupt(_too_large(self._rules))
        if self._all_bodies.held_bytes > self._rules.total_bytes:
            self._interrupt(problem_of(Overloaded("too many large requests are being received")))

    def _interrupt(self, problem: Problem | None) -> NoReturn:
        self.is_interrupted = True
        self.problem = problem
        raise _Interrupted


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    closing = replace(problem, headers={**problem.headers, "Connection": "close"})
    await problem_response(scope["path"], closing)(scope, receive, send)


def _too_large(rules: BodyRules) -> Problem:
    return problem_of(TooLarge(f"the body may have {rules.limit_bytes} bytes"))


def _too_slow(rules: BodyRules) -> Problem:
    detail = f"the body did not arrive within {rules.deadline_s:g} s"
    return Problem(408, "Request timeout", "request_timeout", detail)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _declared_bytes(scope: Scope) -> int:
    """0 where nothing usable is declared: then the bytes are counted as they come."""
    declared = Headers(scope=scope).get("content-length", "0")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 20 else 0
