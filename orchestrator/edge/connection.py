"""One connection: uvicorn's own, but bounded in number and patience, and with errors in our shape.

uvicorn waits for ever for a request's head, and says in plain text what it cannot read. It also reads whatever has come
on all connections in one turn of the event loop; here only one is read in each, or a few of those that are quickly
answered. Bodies are not looked at here: see body_limit.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, ClassVar

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from modelcore.errors import Malformed, Overloaded
from orchestrator.context import accept_context
from orchestrator.edge.head_limits import MAX_HEAD_BYTES, head_too_large
from orchestrator.edge.request_scope import REQUEST_ID_HEADER
from orchestrator.edge.security_headers import SECURITY_HEADERS
from orchestrator.errors import Problem, as_problem_json, problem_of
from orchestrator.turns import Turns

# Whether we live is asked by whoever restarts us if we are silent: that question waits behind nobody's request.
_URGENT = (b"GET /health/live ", b"GET /api/health/live ")
# Words are encoded in a millisecond, and Triton encodes at once what comes together: here it must not be taken apart.
_BETTER_TOGETHER = (b"POST /v1/embeddings ", b"POST /api/v1/embeddings ")
_TOGETHER = 16
# A body in chunks of one byte keeps h11 busy for a hundred times as long as any other of its size.
_PIECE_BYTES = 8 * 1024
_READS_FOR_S = 0.005
_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class ConnectionRules:
    limit: int
    head_deadline_s: float


def bounded_connections(rules: ConnectionRules) -> type[H11Protocol]:
    """For uvicorn, which makes one for each connection and has no way to hand it more."""

    class Bounded(_Connection):
        pass

    Bounded.rules = rules
    Bounded.turns = Turns()
    Bounded.shared_turns = Turns(_TOGETHER)
    return Bounded


class _Connection(H11Protocol):
    rules: ClassVar[ConnectionRules]
    turns: ClassVar[Turns]  # of all connections
    shared_turns: ClassVar[Turns]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread = bytearray()
        self._my_turns = self.turns

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.rules.limit:
            self._refuse(problem_of(Overloaded("too many connections are open")))
        else:
            self._time_the_head()

    def data_received(self, data: bytes) -> None:
        is_waiting = bool(self._unread)
        self._unread += data
        if not is_waiting and data.startswith(_URGENT):
            self._read_on()
        elif not is_waiting:
            self._choose_turns(data)
            self._my_turns.take(self._read_on)
        if self._unread:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unread.clear()
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        unread, _ = self.conn.trailing_data
        if self.conn.their_state is h11.ERROR and self._awaits_a_head() and len(unread) > MAX_HEAD_BYTES:
            self._refuse(head_too_large())
        else:
            self._refuse(problem_of(Malformed("this is not HTTP/1.1")))

    def _choose_turns(self, data: bytes) -> None:
        """By how a request begins; its body comes later."""
        if data.startswith(_BETTER_TOGETHER):
            self._my_turns = self.shared_turns
        elif self._awaits_a_head():
            self._my_turns = self.turns

    def _read_on(self) -> None:
        """For a while; what is left waits for another turn."""
        until_s = self.loop.time() + _READS_FOR_S
        while self._unread:
            self._read(bytes(self._unread[:_PIECE_BYTES]))
            del self._unread[:_PIECE_BYTES]
            if self.transport.is_closing():
                self._unread.clear()
            if self.loop.time() > until_s:
                break
        if self._unread:
            self._my_turns.take(self._read_on)
        elif not self.flow.read_paused:
            self.transport.resume_reading()

    def _read(self, data: bytes) -> None:
        super().data_received(data)
        self._time_the_head()

    def _time_the_head(self) -> None:
        """From its first byte (or the connection's start) until it is whole. Between requests keep-alive counts."""
        if not self._awaits_a_head() or self.transport.is_closing():
            self._stop_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.rules.head_deadline_s, self._give_up)

    def _awaits_a_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _give_up(self) -> None:
        detail = f"no whole request arrived within {self.rules.head_deadline_s:g} s"
        self._refuse(Problem(408, "Request timeout", "request_timeout", detail))

    def _refuse(self, problem: Problem) -> None:
        """Answer by ourselves, where an answer still fits in, and close."""
        self._stop_timer()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            for event in _answer(problem):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None:
            self.cycle.disconnected = True  # its request, if one is in hand, has nobody to answer
            self.cycle.message_event.set()
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = None


def _answer(problem: Problem) -> list[h11.Event]:
    request_id = accept_context(None, None).request_id
    _log.info("connection refused", status=problem.status, code=problem.code, request_id=request_id)
    body = json.dumps(as_problem_json(problem, request_id)).encode()
    headers = {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        REQUEST_ID_HEADER: request_id,
        **SECURITY_HEADERS,
        **problem.headers,
    }
    start = h11.Response(status_code=problem.status, headers=list(headers.items()), reason=problem.title)
    return [start, h11.Data(data=body), h11.EndOfMessage()]
