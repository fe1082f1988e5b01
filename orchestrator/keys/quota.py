"""What a key may spend in a day, on jobs and on pictures that are painted at once. Knows no HTTP.

A day is the last 24 hours. Only keys with a quota are counted: everybody else costs no look at the database's rows.
"""

import contextlib
import itertools
import math
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

from sqlalchemy import Select, and_, delete, insert, literal, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from modelcore.errors import InvalidInput, QuotaExceeded, Unavailable
from orchestrator.keys.service import KEY_OWNER
from orchestrator.storage.database import Database
from orchestrator.storage.dialects import Turn, now_ms, take_turn
from orchestrator.storage.tables import ApiKeyRow, JobRow, SpendingRow

_DAY_MS = 24 * 3600 * 1000


class Quota:
    """For what is done while its caller waits. Jobs count where they are accepted: see jobs/acceptance.py."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextlib.asynccontextmanager
    async def spending(self, owner: str, find_cost: Callable[[], Awaitable[int]]) -> AsyncIterator[None]:
        """Around the work. What fails costs nothing; what its caller gives up has been begun, and is paid for."""
        if not await self._is_counted(owner):
            yield
            return
        spending_id = await self._take(owner, await find_cost())
        try:
            yield
        except Exception:
            with contextlib.suppress(Unavailable):  # then it is paid for, but its caller learns what went wrong
                await self._give_back(spending_id)
            raise

    async def _is_counted(self, owner: str) -> bool:
        if not owner.startswith(KEY_OWNER):
            return False  # without as much as a connection, which whoever has no key would wait for
        async with self._database.reading() as connection:
            return await cost_per_day_of(connection, owner) is not None

    async def _take(self, owner: str, cost: int) -> str:
        values = {"id": str(uuid.uuid4()), "owner": owner, "cost": cost, "created_at_ms": now_ms()}
        is_old = SpendingRow.created_at_ms <= now_ms() - _DAY_MS
        async with self._database.writing() as connection:
            await take_turn(connection, Turn.ACCEPTANCE)  # jobs of the same owner are accepted in it, too
            await check_quota(connection, owner, cost)
            await connection.execute(delete(SpendingRow).where(SpendingRow.owner == owner, is_old))
            await connection.execute(insert(SpendingRow).values(values))
        return str(values["id"])

    async def _give_back(self, spending_id: str) -> None:
        async with self._database.writing() as connection:
            await connection.execute(delete(SpendingRow).where(SpendingRow.id == spending_id))


async def cost_per_day_of(connection: AsyncConnection, owner: str) -> int | None:
    """None for who has no quota. Asked for by owner, so that no way to spend can forget to pass it on."""
    if not owner.startswith(KEY_OWNER):
        return None
    where = ApiKeyRow.id == owner.removeprefix(KEY_OWNER)
    return (await connection.scalars(select(ApiKeyRow.cost_per_day).where(where))).one_or_none()


async def check_quota(connection: AsyncConnection, owner: str, cost: int, cost_per_day: int | None = None) -> None:
    """In the transaction that then spends it. `cost_per_day` overrules the key's own."""
    most = cost_per_day if cost_per_day is not None else await cost_per_day_of(connection, owner)
    if most is None:
        return
    if cost > most:
        raise InvalidInput(f"this costs {cost} pixel-steps; your quota for a day is {most}")
    spent = (await connection.execute(_spent(owner))).all()
    excess = sum(row.cost for row in spent) + cost - most
    if excess <= 0:
        return
    freed = itertools.accumulate(row.cost for row in spent)
    wait_ms = next(row.frees_in_ms for row, so_far in zip(spent, freed, strict=True) if so_far >= excess)
    raise QuotaExceeded("your quota for a day is used up", retry_after_s=max(1, math.ceil(wait_ms / 1000)))


def _spent(owner: str) -> Select[int, int]:
    """What each job and each spending of the last day cost, and when it will be a day old, the oldest first."""
    was_free = or_(JobRow.state == "failed", and_(JobRow.state == "cancelled", JobRow.started_at_ms.is_(None)))
    spent = union_all(_of_today(JobRow, owner).where(~was_free), _of_today(SpendingRow, owner)).subquery()
    frees_in_ms = (spent.c.created_at_ms + literal(_DAY_MS) - now_ms()).label("frees_in_ms")
    return select(spent.c.cost, frees_in_ms).order_by(spent.c.created_at_ms)


def _of_today(rows: type[JobRow] | type[SpendingRow], owner: str) -> Select[int, int]:
    where = (rows.owner == owner, rows.created_at_ms > now_ms() - _DAY_MS, rows.cost > 0)
    return select(rows.cost, rows.created_at_ms).where(*where)
