"""What is accepted and what is not: idempotency keys of jobs, limits of the queue, quotas."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from modelcore.errors import Conflict, InvalidInput, Overloaded, QuotaExceeded, TriptychError
from orchestrator.jobs.idempotency import IdempotencyKey, record_answer
from orchestrator.jobs.model import DAY_S, Priority, Submission
from orchestrator.lasting import Lasting
from orchestrator.storage.dialects import now_ms
from orchestrator.storage.tables import IdempotencyRow, JobRow
from tests.storage.jobs import ME, OTHER, QUICK, drawing, running, waiting

KEY = IdempotencyKey("a key of mine", "0" * 64)


@pytest.fixture
async def lasting(database_url: str, tmp_path: Path) -> AsyncIterator[Lasting]:
    """Accepts, and does nothing."""
    rules = dataclasses.replace(QUICK, queue_limit=8, owner_queue_limit=5, reconcile_s=60.0)
    async with running(database_url, tmp_path, slots=0, rules=rules) as lasting:
        yield lasting


async def refusal(lasting: Lasting, submission: Submission, **given: object) -> TriptychError:
    with pytest.raises(TriptychError) as refused:
        await lasting.jobs.submit(submission, **given)  # type: ignore[arg-type]
    return refused.value


async def count_jobs(lasting: Lasting) -> int:
    async with lasting.database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(JobRow))).scalar_one()


async def set_jobs(lasting: Lasting, **values: object) -> None:
    async with lasting.database.writing() as connection:
        await connection.execute(update(JobRow).values(**values))


async def test_fifty_equal_submits_at_once_are_one_job(lasting: Lasting) -> None:
    accepted = await asyncio.gather(*(lasting.jobs.submit(drawing(), KEY) for _ in range(50)))
    assert len({each.job.id for each in accepted}) == 1
    assert sorted(each.is_replay for each in accepted) == [False, *[True] * 49]
    assert await count_jobs(lasting) == 1


async def test_a_key_with_another_request_is_refused(lasting: Lasting) -> None:
    await lasting.jobs.submit(drawing(), KEY)
    error = await refusal(lasting, drawing("blue"), key=dataclasses.replace(KEY, request_sha256="1" * 64))
    assert isinstance(error, InvalidInput)
    assert error.field == "Idempotency-Key"


async def test_two_callers_may_use_the_same_key(lasting: Lasting) -> None:
    mine, theirs = [await lasting.jobs.submit(drawing(owner=owner), KEY) for owner in (ME, OTHER)]
    assert mine.job.id != theirs.job.id


async def test_a_key_older_than_a_day_is_new_again(lasting: Lasting) -> None:
    first = await lasting.jobs.submit(drawing(), KEY)
    async with lasting.database.writing() as connection:
        await connection.execute(update(IdempotencyRow).values(created_at_ms=now_ms() - round(DAY_S * 1000) - 1))
    assert (await lasting.jobs.submit(drawing(), KEY)).job.id != first.job.id


async def test_a_key_of_a_request_that_is_answered_at_once_is_not_one_of_a_job(lasting: Lasting) -> None:
    begun = await lasting.idempotency.begin(ME, KEY)
    assert isinstance(await refusal(lasting, drawing(), key=KEY), Conflict)
    async with lasting.database.writing() as connection:
        await record_answer(connection, ME, KEY, begun, 200, b"{}")  # type: ignore[arg-type]
    assert isinstance(await refusal(lasting, drawing(), key=KEY), Conflict)


async def test_a_refused_submit_leaves_its_key_free(lasting: Lasting) -> None:
    for _ in range(5):
        await lasting.jobs.submit(drawing())
    assert isinstance(await refusal(lasting, drawing(), key=KEY), QuotaExceeded)
    await set_jobs(lasting, state="cancelled")
    assert not (await lasting.jobs.submit(drawing(), KEY)).is_replay


async def test_one_caller_cannot_fill_the_queue(lasting: Lasting) -> None:
    results = await asyncio.gather(*(lasting.jobs.submit(drawing()) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, QuotaExceeded) for result in results) == 15
    assert (await lasting.jobs.submit(drawing(owner=OTHER))).job.state == "queued"


async def test_a_full_queue_is_overloaded_for_everybody(lasting: Lasting) -> None:
    for number in range(8):
        await lasting.jobs.submit(drawing(owner=f"key:{number}"))
    error = await refusal(lasting, drawing())
    assert isinstance(error, Overloaded)
    assert error.retry_after_s >= 1


async def test_retry_after_is_the_measured_time_of_one_job(lasting: Lasting) -> None:
    await lasting.jobs.submit(drawing(cost=1_000, owner=OTHER))
    finished_at_ms = round(time.time() * 1000)
    await set_jobs(lasting, state="completed", started_at_ms=finished_at_ms - 7_000, finished_at_ms=finished_at_ms)
    for number in range(8):
        await lasting.jobs.submit(drawing(cost=3_000, owner=f"key:{number}"))
    error = await refusal(lasting, drawing())
    assert isinstance(error, Overloaded)
    assert error.retry_after_s == 21


async def test_retry_after_counts_each_kind_at_its_own_pace(lasting: Lasting) -> None:
    finished_at_ms = round(time.time() * 1000)
    done = {"state": "completed", "finished_at_ms": finished_at_ms}
    await lasting.jobs.submit(waiting(cost=100, owner=OTHER))
    await set_jobs(lasting, started_at_ms=finished_at_ms - 10_000, **done)
    drawn = (await lasting.jobs.submit(drawing(cost=100_000, owner=OTHER))).job
    async with lasting.database.writing() as connection:
        values = {**done, "started_at_ms": finished_at_ms - 2_000}
        await connection.execute(update(JobRow).where(JobRow.id == drawn.id).values(values))
    for number in range(7):
        await lasting.jobs.submit(drawing(cost=100_000, owner=f"key:{number}"))
    await lasting.jobs.submit(waiting(cost=100, owner=OTHER))
    assert (await refusal(lasting, drawing())).retry_after_s == 3  # type: ignore[attr-defined]


async def test_a_caller_whose_own_queue_is_full_is_told_when_one_of_his_own_is_begun(lasting: Lasting) -> None:
    await lasting.jobs.submit(drawing(cost=1_000, owner=OTHER))
    finished_at_ms = round(time.time() * 1000)
    await set_jobs(lasting, state="completed", started_at_ms=finished_at_ms - 7_000, finished_at_ms=finished_at_ms)
    await lasting.jobs.submit(drawing(cost=1_000, owner=OTHER))
    await lasting.jobs.submit(drawing(cost=1_000, owner="key:third"))
    for _ in range(5):
        await lasting.jobs.submit(drawing(cost=1_000))
    error = await refusal(lasting, drawing())
    assert isinstance(error, QuotaExceeded)
    assert error.retry_after_s == 3 * 7  # callers take turns


async def test_a_callers_batches_wait_for_all_that_is_urgent(lasting: Lasting) -> None:
    await lasting.jobs.submit(drawing(cost=1_000, owner=OTHER))
    finished_at_ms = round(time.time() * 1000)
    await set_jobs(lasting, state="completed", started_at_ms=finished_at_ms - 7_000, finished_at_ms=finished_at_ms)
    for _ in range(2):
        await lasting.jobs.submit(drawing(cost=1_000, owner=OTHER))
    for _ in range(5):
        await lasting.jobs.submit(drawing(cost=1_000, priority=Priority.BATCH))
    error = await refusal(lasting, drawing(priority=Priority.BATCH))
    assert isinstance(error, QuotaExceeded)
    assert error.retry_after_s == (2 + 1) * 7


async def test_a_quota_is_spent_by_cost_and_comes_back_after_a_day(lasting: Lasting) -> None:
    for _ in range(2):
        await lasting.jobs.submit(drawing(cost=40), cost_per_day=100)
    await set_jobs(lasting, created_at_ms=now_ms() - round(DAY_S * 1000) + 90_000)
    error = await refusal(lasting, drawing(cost=40), cost_per_day=100)
    assert isinstance(error, QuotaExceeded)
    assert 85 <= error.retry_after_s <= 90
    await set_jobs(lasting, created_at_ms=now_ms() - round(DAY_S * 1000) - 1)
    await lasting.jobs.submit(drawing(cost=40), cost_per_day=100)


async def test_a_quota_holds_among_submits_at_once(lasting: Lasting) -> None:
    submits = (lasting.jobs.submit(drawing(cost=40), cost_per_day=100) for _ in range(5))
    results = await asyncio.gather(*submits, return_exceptions=True)
    assert sum(isinstance(result, QuotaExceeded) for result in results) == 3


@pytest.mark.parametrize("ended", [{"state": "failed"}, {"state": "cancelled"}])
async def test_what_came_to_nothing_costs_nothing(lasting: Lasting, ended: dict[str, str]) -> None:
    await lasting.jobs.submit(drawing(cost=100), cost_per_day=100)
    await set_jobs(lasting, **ended)
    await lasting.jobs.submit(drawing(cost=100), cost_per_day=100)


async def test_a_job_that_was_cancelled_at_work_has_cost_what_it_costs(lasting: Lasting) -> None:
    await lasting.jobs.submit(drawing(cost=100), cost_per_day=100)
    await set_jobs(lasting, state="cancelled", started_at_ms=now_ms())
    assert isinstance(await refusal(lasting, drawing(cost=1), cost_per_day=100), QuotaExceeded)


async def test_what_no_quota_could_ever_allow_is_no_matter_of_waiting(lasting: Lasting) -> None:
    error = await refusal(lasting, drawing(cost=101), cost_per_day=100)
    assert isinstance(error, InvalidInput)
