"""Which job is taken next, by whom it may be written, and when it will be done. The SQL alone, without workers."""

import asyncio
import dataclasses
import random
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from orchestrator.jobs import leases
from orchestrator.jobs.acceptance import accept
from orchestrator.jobs.model import Claim, Job, Priority, Submission
from orchestrator.lasting import Lasting
from orchestrator.storage.dialects import now_ms
from orchestrator.storage.tables import JobRow
from tests.storage.jobs import ME, OTHER, QUICK, drawing, running, waiting
from tests.storage.servers import Postgresql

LEASE_S = 30.0


@pytest.fixture
async def lasting(database_url: str, tmp_path: Path) -> AsyncIterator[Lasting]:
    async with running(database_url, tmp_path, slots=0) as lasting:
        yield lasting


async def submit(lasting: Lasting, owner: str = ME, **known: object) -> Job:
    return (await lasting.jobs.submit(drawing(owner=owner, **known))).job  # type: ignore[arg-type]


async def claim(lasting: Lasting, kinds: Sequence[str] = ("draw",)) -> Claim | None:
    async with lasting.database.writing() as connection:
        return await leases.claim(connection, kinds, LEASE_S)


async def owners_of_claims(lasting: Lasting, count: int, *, finish: bool) -> str:
    served = ""
    for _ in range(count):
        claimed = await claim(lasting)
        assert claimed is not None
        served += claimed.job.owner[-1]
        if finish:
            async with lasting.database.writing() as connection:
                assert await leases.complete(connection, claimed, {})
    return served


@pytest.mark.parametrize("finish", [True, False], ids=["one at a time", "all at once"])
async def test_callers_take_turns_however_many_jobs_each_has(lasting: Lasting, finish: bool) -> None:
    for owner in ("key:a", "key:a", "key:a", "key:a", "key:b", "key:b", "key:c"):
        await submit(lasting, owner)
    served = await owners_of_claims(lasting, 7, finish=finish)
    assert sorted(served[:3]) == ["a", "b", "c"]
    assert sorted(served[3:5]) == ["a", "b"]
    assert served[5:] == "aa"


async def test_whoever_waits_for_an_answer_goes_before_batches(lasting: Lasting) -> None:
    await submit(lasting, ME, priority=Priority.BATCH)
    await submit(lasting, OTHER, priority=Priority.INTERACTIVE)
    await submit(lasting, OTHER, priority=Priority.INTERACTIVE)
    assert await owners_of_claims(lasting, 3, finish=False) == f"{OTHER[-1] * 2}{ME[-1]}"


async def test_a_callers_own_jobs_are_done_in_their_order(lasting: Lasting) -> None:
    jobs = [await submit(lasting) for _ in range(5)]
    claimed = [await claim(lasting) for _ in range(5)]
    assert [each.job.id for each in claimed if each] == [job.id for job in jobs]


async def test_claims_at_the_same_time_take_different_jobs(lasting: Lasting) -> None:
    jobs = [await submit(lasting) for _ in range(10)]
    claimed = await asyncio.gather(*(claim(lasting) for _ in range(15)))
    assert sorted(each.job.id for each in claimed if each) == sorted(job.id for job in jobs)


async def test_a_claim_reads_no_job_that_has_ended(postgresql: Postgresql, tmp_path: Path) -> None:
    """Also on a PostgreSQL that has not counted its rows yet, and guesses: it did read them all, for 40 ms a claim."""
    ended = [ended_job(number) for number in range(5_000)]
    with postgresql.new_database() as url:
        async with running(url, tmp_path, slots=0) as lasting:
            async with lasting.database.writing() as connection:
                await connection.execute(insert(JobRow), ended)
            for _ in range(50):
                await submit(lasting)
            async with lasting.database.writing() as connection:
                assert await leases.claim(connection, ["draw"], LEASE_S)
                assert await rows_read(connection) < len(ended)


def ended_job(number: int) -> dict[str, Any]:
    times = dict.fromkeys(("available_at_ms", "created_at_ms", "started_at_ms", "finished_at_ms"), number)
    known = {"owner": ME, "kind": "draw", "priority": 0, "request": {}, "cost": 1, "state": "completed"}
    return {"id": str(uuid.uuid4()), "attempt": 1, "attempt_limit": 3, "expires_at_ms": 0, "step": 3, "steps": 3} | (
        known | times
    )


async def rows_read(connection: AsyncConnection) -> int:
    """Of jobs, by this transaction: by the table itself and by each of its indexes."""
    places = "SELECT 'jobs'::regclass AS place UNION SELECT indexrelid FROM pg_index WHERE indrelid = 'jobs'::regclass"
    statement = text(f"SELECT sum(pg_stat_get_xact_tuples_returned(place)) FROM ({places}) AS places")
    return int((await connection.scalars(statement)).one())


async def test_a_worker_takes_only_what_it_can_do(lasting: Lasting) -> None:
    await submit(lasting)
    assert await claim(lasting, ["segment"]) is None


async def test_a_job_that_pauses_before_its_retry_is_not_taken(lasting: Lasting) -> None:
    await submit(lasting)
    claimed = await claim(lasting)
    assert claimed is not None
    async with lasting.database.writing() as connection:
        assert await leases.retry_or_fail(connection, claimed, "unavailable", "", pause_s=60.0)
    assert await claim(lasting) is None


async def test_a_lease_that_ran_out_is_void_once_the_job_was_taken_again(lasting: Lasting) -> None:
    await submit(lasting)
    first = await claim(lasting)
    assert first is not None
    async with lasting.database.writing() as connection:
        await connection.execute(update(JobRow).values(lease_until_ms=now_ms() - 1))
        assert await leases.reap(connection) == [first.job.id]
    second = await claim(lasting)
    assert second is not None
    async with lasting.database.writing() as connection:
        assert await leases.renew(connection, [first.token, second.token], LEASE_S) == {second.token}
        assert not await leases.complete(connection, first, {"by": "first"})
        assert not await leases.fail(connection, first, "x", "x")
        assert not await leases.give_back(connection, first)
        assert not await leases.record_step(connection, first, 1, 3)
        assert await leases.complete(connection, second, {"by": "second"})
    assert (await lasting.jobs.get(ME, first.job.id)).result == {"by": "second"}


async def test_a_lease_that_is_kept_is_not_reaped(lasting: Lasting) -> None:
    await submit(lasting)
    await claim(lasting)
    async with lasting.database.writing() as connection:
        assert await leases.reap(connection) == []


async def test_a_job_that_loses_every_worker_fails_with_a_reason(lasting: Lasting) -> None:
    job = await submit(lasting)
    for _ in range(3):
        assert await claim(lasting) is not None
        async with lasting.database.writing() as connection:
            await connection.execute(update(JobRow).values(lease_until_ms=now_ms() - 1))
            await leases.reap(connection)
    lost = await lasting.jobs.get(ME, job.id)
    assert (lost.state, lost.attempt, lost.error_code) == ("failed", 3, "lost_worker")


async def test_of_a_completion_and_a_cancellation_at_once_one_happens(lasting: Lasting) -> None:
    """500 times: what each was told of its own success is what the row says ever after."""
    chance = random.Random(1)
    claims = await claimed_at_once(lasting, 500)

    async def complete(claim: Claim) -> bool:
        async with lasting.database.writing() as connection:
            return await leases.complete(connection, claim, {})

    async def cancel(claim: Claim) -> bool:
        async with lasting.database.writing() as connection:
            return await leases.cancel(connection, ME, claim.job.id)

    async def race(claim: Claim) -> tuple[bool, bool]:
        first, second = (complete, cancel) if chance.random() < 0.5 else (cancel, complete)
        told = dict(zip((first, second), await asyncio.gather(first(claim), second(claim)), strict=True))
        return told[complete], told[cancel]

    told = await asyncio.gather(*map(race, claims))
    async with lasting.database.reading() as connection:
        states = {row.id: row.state for row in await connection.execute(select(JobRow.id, JobRow.state))}
    state_told = {(True, False): "completed", (False, True): "cancelled"}
    assert [state_told[each] for each in told] == [states[claim.job.id] for claim in claims]
    assert set(states.values()) == {"completed", "cancelled"}


async def claimed_at_once(lasting: Lasting, count: int) -> list[Claim]:
    """In one transaction, since hundreds of them would take their time."""
    rules = dataclasses.replace(QUICK, owner_queue_limit=count)
    taken = {"state": "running", "lease_token": JobRow.id, "lease_until_ms": now_ms() + 60_000}
    async with lasting.database.writing() as connection:
        jobs = [(await accept(connection, rules, drawing(), {})).job for _ in range(count)]
        await connection.execute(update(JobRow).values(taken))
    return [Claim(job, job.id) for job in jobs]


async def test_a_running_jobs_time_left_is_told_by_its_own_steps(lasting: Lasting) -> None:
    job = await submit(lasting, steps=10)
    async with lasting.database.writing() as connection:
        running = {"state": "running", "lease_token": job.id, "step": 4, "lease_until_ms": now_ms() + 60_000}
        await connection.execute(update(JobRow).values(**running, started_at_ms=now_ms() - 8_000))
    eta_s = (await lasting.jobs.outlook(await lasting.jobs.get(ME, job.id))).eta_s
    assert eta_s == pytest.approx(12.0, abs=3.0)


async def test_a_queued_jobs_time_left_is_the_work_ahead_at_the_measured_pace(lasting: Lasting) -> None:
    measured = await submit(lasting, cost=100)
    async with lasting.database.writing() as connection:
        finished_at_ms = round(time.time() * 1000)
        done = {"state": "completed", "started_at_ms": finished_at_ms - 2_000, "finished_at_ms": finished_at_ms}
        await connection.execute(update(JobRow).where(JobRow.id == measured.id).values(done))
    ahead = await submit(lasting, OTHER, cost=200)
    async with lasting.database.writing() as connection:
        half_done = {
            "state": "running",
            "lease_token": "x",
            "lease_until_ms": now_ms() + 60_000,
            "step": 5,
            "steps": 10,
        }
        await connection.execute(update(JobRow).where(JobRow.id == ahead.id).values(half_done))
    await submit(lasting, ME, cost=300, priority=Priority.BATCH)
    mine = await submit(lasting, ME, cost=50)
    assert (await lasting.jobs.outlook(mine)).eta_s == pytest.approx((100 + 50) * 0.02)


async def test_nothing_is_foretold_before_anything_was_measured(lasting: Lasting) -> None:
    assert (await lasting.jobs.outlook(await submit(lasting, cost=100))).eta_s is None


async def measure(lasting: Lasting, kind: str, cost: int, took_ms: int) -> None:
    """One job of that kind is completed, and took so long."""
    submission = Submission(OTHER, kind, {}, cost=cost)
    job = (await lasting.jobs.submit(submission)).job
    finished_at_ms = round(time.time() * 1000)
    done = {"state": "completed", "started_at_ms": finished_at_ms - took_ms, "finished_at_ms": finished_at_ms}
    async with lasting.database.writing() as connection:
        await connection.execute(update(JobRow).where(JobRow.id == job.id).values(done))


async def begin(lasting: Lasting, job: Job, ms_ago: int, **known: object) -> None:
    async with lasting.database.writing() as connection:
        running = {"state": "running", "lease_token": job.id, "lease_until_ms": now_ms() + 60_000, **known}
        values = {**running, "started_at_ms": now_ms() - ms_ago}
        await connection.execute(update(JobRow).where(JobRow.id == job.id).values(values))


async def eta_s(lasting: Lasting, job: Job) -> float | None:
    return (await lasting.jobs.outlook(await lasting.jobs.get(job.owner, job.id))).eta_s


async def test_each_kind_of_the_work_ahead_counts_at_its_own_pace(lasting: Lasting) -> None:
    await measure(lasting, "draw", cost=20_000, took_ms=1_000)
    await measure(lasting, "wait", cost=1_000, took_ms=2_000)
    for _ in range(10):
        await submit(lasting, OTHER, cost=20_000)
    mine = (await lasting.jobs.submit(waiting(cost=1_000))).job
    assert await eta_s(lasting, mine) == pytest.approx(10 * 1.0 + 2.0)


async def test_nothing_is_foretold_behind_work_of_a_kind_that_was_never_measured(lasting: Lasting) -> None:
    await measure(lasting, "wait", cost=1_000, took_ms=2_000)
    await submit(lasting, OTHER, cost=20_000)
    assert await eta_s(lasting, (await lasting.jobs.submit(waiting(cost=1_000))).job) is None


async def test_a_running_jobs_time_left_is_its_kinds_pace_where_it_tells_of_no_steps(lasting: Lasting) -> None:
    await measure(lasting, "wait", cost=1_000, took_ms=20_000)
    job = (await lasting.jobs.submit(waiting(cost=2_000, steps=1))).job
    await begin(lasting, job, ms_ago=10_000)
    assert await eta_s(lasting, job) == pytest.approx(30.0, abs=3.0)


async def test_a_job_that_takes_longer_than_its_kind_is_due_now(lasting: Lasting) -> None:
    await measure(lasting, "wait", cost=1_000, took_ms=20_000)
    job = (await lasting.jobs.submit(waiting(cost=1_000, steps=1))).job
    await begin(lasting, job, ms_ago=50_000)
    assert await eta_s(lasting, job) == 0.0


async def test_a_queued_job_waits_only_for_what_is_left_of_one_that_tells_of_no_steps(lasting: Lasting) -> None:
    await measure(lasting, "wait", cost=1_000, took_ms=20_000)
    ahead = (await lasting.jobs.submit(waiting(OTHER, cost=1_000, steps=1))).job
    await begin(lasting, ahead, ms_ago=15_000)
    mine = (await lasting.jobs.submit(waiting(cost=1_000, steps=1))).job
    assert await eta_s(lasting, mine) == pytest.approx(5.0 + 20.0, abs=3.0)
