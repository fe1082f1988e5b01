"""What a key has spent on pictures that are painted at once, on both databases."""

import asyncio

import pytest
from sqlalchemy import func, select, update

from modelcore.errors import InvalidInput, QuotaExceeded
from orchestrator.keys.quota import Quota
from orchestrator.keys.service import Keys
from orchestrator.storage.database import Database
from orchestrator.storage.dialects import now_ms
from orchestrator.storage.tables import SpendingRow

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
async def owner(database: Database) -> str:
    return (await Keys(database).create("Ada", cost_per_day=100)).key.owner


async def costing(cost: int) -> int:
    return cost


async def spend(database: Database, owner: str, cost: int) -> None:
    async with Quota(database).spending(owner, lambda: costing(cost)):
        pass


async def fail(database: Database, owner: str, error: BaseException) -> None:
    with pytest.raises(type(error)):
        async with Quota(database).spending(owner, lambda: costing(100)):
            raise error


async def rows(database: Database) -> int:
    async with database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(SpendingRow))).scalar_one()


async def test_spendings_at_once_do_not_overrun_the_quota(database: Database, owner: str) -> None:
    results = await asyncio.gather(*(spend(database, owner, 40) for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(result, QuotaExceeded) for result in results) == 4


async def test_a_day_later_it_may_be_spent_again_and_is_forgotten(database: Database, owner: str) -> None:
    await spend(database, owner, 100)
    async with database.writing() as connection:
        await connection.execute(update(SpendingRow).values(created_at_ms=now_ms() - DAY_MS - 1))
    await spend(database, owner, 100)
    assert await rows(database) == 1


async def test_work_that_fails_gives_back_what_it_took(database: Database, owner: str) -> None:
    await fail(database, owner, ZeroDivisionError())
    assert await rows(database) == 0


async def test_work_that_is_given_up_is_paid_for(database: Database, owner: str) -> None:
    await fail(database, owner, asyncio.CancelledError())
    with pytest.raises(QuotaExceeded):
        await spend(database, owner, 1)


async def test_one_key_does_not_spend_anothers_quota(database: Database, owner: str) -> None:
    other = (await Keys(database).create("Grace", cost_per_day=100)).key.owner
    await spend(database, owner, 100)
    await spend(database, other, 100)


async def test_what_no_day_could_pay_for_is_no_matter_of_waiting(database: Database, owner: str) -> None:
    with pytest.raises(InvalidInput):
        await spend(database, owner, 101)


async def test_who_has_no_quota_is_not_counted_nor_asked_for_the_cost(database: Database) -> None:
    unlimited = (await Keys(database).create("Grace")).key.owner

    async def must_not_be_asked() -> int:
        raise AssertionError

    for owner in (unlimited, "session:somebody"):
        async with Quota(database).spending(owner, must_not_be_asked):
            pass
    assert await rows(database) == 0
