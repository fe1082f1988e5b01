"""A request that is sent twice is done once, as Stripe does it.

The same key with the same body gets the stored answer; with another body, 422; while the first is in progress, 409. An
answer of 429 or 5xx releases the key, since the client is meant to try again.
"""

import hashlib
import uuid
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from modelcore.errors import Conflict, InvalidInput
from orchestrator.storage.database import Database
from orchestrator.storage.dialects import now_ms
from orchestrator.storage.tables import IdempotencyRow

FIELD = "Idempotency-Key"
LONGEST_KEY = 255


@dataclass(frozen=True)
class IdempotencyKey:
    """A client's key, and the SHA-256 of method, path and body that it came with."""

    key: str
    request_sha256: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.key) <= LONGEST_KEY or not self.key.isascii() or not self.key.isprintable():
            raise InvalidInput(f"{FIELD} must be 1 to {LONGEST_KEY} printable ASCII characters", field=FIELD)

    @property
    def sha256(self) -> str:
        """All that is written down of it: a caller without a session is known by his key alone, see edge/caller.py."""
        return hashlib.sha256(self.key.encode()).hexdigest()


@dataclass(frozen=True)
class Begun:
    """Nobody has sent this before: do the work, then `record_answer` under this token, or `give_up`."""

    token: str


@dataclass(frozen=True)
class StoredAnswer:
    status: int
    body: bytes


@dataclass(frozen=True)
class StoredJob:
    job_id: str


Record = StoredAnswer | StoredJob


class Idempotency:
    """For requests that are answered at once. A job's key is recorded with the job, see acceptance.py."""

    def __init__(self, database: Database, kept_s: float, hold_s: float) -> None:
        """`hold_s`: how long a request in progress holds its key after a crash."""
        self._database = database
        self._kept_s = kept_s
        self._hold_s = hold_s

    async def begin(self, owner: str, key: IdempotencyKey) -> Begun | Record:
        token = str(uuid.uuid4())
        try:
            async with self._database.writing() as connection:
                record = await find_record(connection, owner, key, self._kept_s)
                if record is None:
                    await insert_record(connection, owner, key, token, hold_s=self._hold_s)
                return record or Begun(token)
        except IntegrityError:  # PostgreSQL: another began in the same moment, and was first
            raise in_progress() from None

    async def give_up(self, owner: str, key: IdempotencyKey, begun: Begun, status: int, problem: bytes) -> None:
        """It came to nothing. What is wrong with the request is told again; 429 and 5xx give the key free."""
        async with self._database.writing() as connection:
            if status == 429 or status >= 500:
                await connection.execute(delete(IdempotencyRow).where(*_is_unanswered(owner, key, begun)))
            else:
                await record_answer(connection, owner, key, begun, status, problem)


async def record_answer(
    connection: AsyncConnection, owner: str, key: IdempotencyKey, begun: Begun, status: int, body: bytes
) -> bool:
    """In the transaction of what the answer tells of: after a crash either both are there, or the key may try again.

    False where the key is no longer ours. Then what the answer tells of must not be either.
    """
    change = update(IdempotencyRow).where(*_is_unanswered(owner, key, begun)).values(status=status, answer=body)
    return bool((await connection.execute(change)).rowcount)


async def find_record(connection: AsyncConnection, owner: str, key: IdempotencyKey, kept_s: float) -> Record | None:
    """What the key stands for. Raises where it may not be used now; forgets what is too old to count."""
    await connection.execute(delete(IdempotencyRow).where(*_is(owner, key), _is_stale(kept_s)))
    row = (await connection.execute(select(IdempotencyRow).where(*_is(owner, key)))).one_or_none()
    if row is None:
        return None
    if row.request_sha256 != key.request_sha256:
        raise InvalidInput("this key was used before, with another request", field=FIELD)
    if row.job_id is not None:
        return StoredJob(row.job_id)
    if row.status is None:
        raise in_progress()
    return StoredAnswer(row.status, row.answer)


async def insert_record(
    connection: AsyncConnection,
    owner: str,
    key: IdempotencyKey,
    token: str,
    *,
    hold_s: float = 0.0,
    job_id: str | None = None,
) -> None:
    values = {"owner": owner, "key": key.sha256, "request_sha256": key.request_sha256, "token": token, "job_id": job_id}
    held_until_ms = now_ms() + round(hold_s * 1000)
    await connection.execute(
        insert(IdempotencyRow).values(**values, created_at_ms=now_ms(), held_until_ms=held_until_ms)
    )


async def forget_old_records(connection: AsyncConnection, kept_s: float) -> int:
    return (await connection.execute(delete(IdempotencyRow).where(_is_stale(kept_s)))).rowcount


def in_progress() -> Conflict:
    return Conflict("a request with this key is in progress: wait for its answer", field=FIELD)


def _is(owner: str, key: IdempotencyKey) -> tuple[ColumnElement[bool], ...]:
    return IdempotencyRow.owner == owner, IdempotencyRow.key == key.sha256


def _is_unanswered(owner: str, key: IdempotencyKey, begun: Begun) -> tuple[ColumnElement[bool], ...]:
    """The token: after a pause longer than the hold, the key may be somebody else's."""
    return (*_is(owner, key), IdempotencyRow.token == begun.token, IdempotencyRow.status.is_(None))


def _is_stale(kept_s: float) -> ColumnElement[bool]:
    is_old = IdempotencyRow.created_at_ms < now_ms() - round(kept_s * 1000)
    never_finished = and_(IdempotencyRow.status.is_(None), IdempotencyRow.job_id.is_(None))
    return or_(is_old, and_(never_finished, IdempotencyRow.held_until_ms < now_ms()))
