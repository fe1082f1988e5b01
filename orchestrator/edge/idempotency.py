"""`Idempotency-Key` over HTTP: what a request's key stands for, and answers that are given again.

The rules are in jobs/idempotency.py. A request that is answered by a job keeps its key there: see
job_routes/dependencies.py.
"""

import contextlib
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from modelcore.errors import Conflict, InvalidInput, TriptychError, Unavailable
from orchestrator.edge.problems import problem_response
from orchestrator.errors import problem_of
from orchestrator.jobs.idempotency import (
    FIELD,
    Idempotency,
    IdempotencyKey,
    StoredAnswer,
    StoredJob,
    in_progress,
    record_answer,
)

REPLAYED = "Idempotent-Replayed"
Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")
# Of a route that reads it by `read_key`: what /openapi.json says of it.
KeyHeader = Annotated[
    str | None,
    Header(
        alias=FIELD,
        description="A UUID of your own: the same request under it is done once, and answered each time.",
    ),
]
_BOUNDARY = re.compile(r'boundary="?([^";]{1,70})"?')
_NO_ANSWER = 503  # whatever ends without one gives its key free


@dataclass(frozen=True)
class Memory(Generic[Answer]):
    """How an answer is kept: small, since what it shows is kept elsewhere already."""

    write: Callable[[Answer], bytes]
    read: Callable[[bytes], Awaitable[Answer]]


async def read_key(request: Request) -> IdempotencyKey | None:
    """For a request whose body may be asked for again: FastAPI keeps it."""
    sent = request.headers.getlist(FIELD)
    if len(sent) > 1:
        raise InvalidInput(f"there is more than one {FIELD} header", field=FIELD)
    return IdempotencyKey(sent[0], _fingerprint(request, await request.body())) if sent else None


def refuse_key_of_stream(key: IdempotencyKey | None) -> None:
    if key is not None:
        detail = f"a stream cannot be given again: send POST /jobs with this {FIELD}, and follow its events"
        raise InvalidInput(detail, field=FIELD)


class Recording(Generic[Answer]):
    """Writes the answer down in the transaction of what it tells of, so that a crash leaves both or neither."""

    def __init__(self, record: Callable[[AsyncConnection, bytes], Awaitable[None]], memory: Memory[Answer]) -> None:
        self._record = record
        self._memory = memory
        self.answer: Answer | None = None

    def of(self, answer_of: Callable[[Result], Answer]) -> Callable[[AsyncConnection, Result], Awaitable[None]]:
        async def on_adding(connection: AsyncConnection, result: Result) -> None:
            self.answer = answer_of(result)
            await self._record(connection, self._memory.write(self.answer))

        return on_adding


async def answered_once(
    request: Request,
    records: Idempotency,
    owner: str,
    key: IdempotencyKey,
    work: Callable[[Recording[Answer]], Awaitable[object]],
    memory: Memory[Answer],
) -> Response:
    """The work goes on when its client leaves, who will come back with the key for the answer it has recorded."""
    begun = await records.begin(owner, key)
    if isinstance(begun, StoredJob):
        raise Conflict("this key stands for a job, not for a request that is answered at once", field=FIELD)
    if isinstance(begun, StoredAnswer):
        return await _given_again(request, begun, memory)

    async def record(connection: AsyncConnection, body: bytes) -> None:
        if not await record_answer(connection, owner, key, begun, 200, body):
            raise in_progress()  # we were asleep for longer than the hold, and another has taken over

    recording, status, body = Recording(record, memory), _NO_ANSWER, b""
    try:
        await work(recording)
        assert recording.answer is not None
        return JSONResponse(recording.answer.model_dump(mode="json", by_alias=True))
    except TriptychError as error:
        problem = problem_of(error)
        status, body = problem.status, bytes(problem_response(request.url.path, problem).body)
        raise
    finally:
        # Changes nothing where the answer is recorded. Where the database fails now, the key is held for a while.
        with contextlib.suppress(Unavailable):
            await records.give_up(owner, key, begun, status, body)


async def _given_again(request: Request, stored: StoredAnswer, memory: Memory[Answer]) -> Response:
    if stored.status == 200:
        again: Response = JSONResponse((await memory.read(stored.body)).model_dump(mode="json", by_alias=True))
    else:
        again = problem_response(request.url.path, problem_of(InvalidInput("")))
        again = Response(stored.body, stored.status, media_type=again.media_type)
    again.headers[REPLAYED] = "true"
    return again


def _fingerprint(request: Request, body: bytes) -> str:
    """Of method, address and body. A form's boundary is another each time that a client writes the same form."""
    boundary = _BOUNDARY.search(request.headers.get("content-type", ""))
    if boundary is not None:
        body = body.replace(boundary[1].encode("latin-1"), b"")
    path = request.url.path.removeprefix("/api")
    head = f"{request.method} {path}?{request.url.query}\n"
    return hashlib.sha256(head.encode() + body).hexdigest()
