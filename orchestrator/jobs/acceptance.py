"""Accepting a job: its row, its request, its inputs' checksums and its idempotency record, in one transaction."""

import itertools
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Select, and_, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from modelcore.errors import Conflict, InvalidInput, Overloaded, QuotaExceeded
from orchestrator.jobs.forecast import seconds_until_a_place
from orchestrator.jobs.idempotency import FIELD, IdempotencyKey, StoredJob, find_record, insert_record
from orchestrator.jobs.leases import JOB_COLUMNS
from orchestrator.jobs.model import DAY_S, Job, JobRules, Submission
from orchestrator.storage.dialects import Turn, now_ms, take_turn
from orchestrator.storage.tables import JobInputRow, JobRow

_DAY_MS = round(DAY_S * 1000)


@dataclass(frozen=True)
class Accepted:
    job: Job
    is_replay: bool = False


async def accept(
    connection: AsyncConnection,
    rules: JobRules,
    submission: Submission,
    inputs: Mapping[str, str],
    key: IdempotencyKey | None = None,
    cost_per_day: int | None = None,
) -> Accepted:
    """`inputs` are the SHA-256s of pictures that are stored already. One at a time, so that limits are exact."""
    await take_turn(connection, Turn.ACCEPTANCE)
    if key is not None and (job := await _find_replayed(connection, rules, submission.owner, key)):
        return Accepted(job, is_replay=True)
    await _check_queues(connection, rules, submission.owner)
    if cost_per_day is not None:
        await check_quota(connection, submission.owner, submission.cost, cost_per_day)
    job = await _insert_job(connection, rules, submission)
    for name, sha256 in inputs.items():
        await connection.execute(insert(JobInputRow).values(job_id=job.id, name=name, sha256=sha256))
    if key is not None:
        await insert_record(connection, submission.owner, key, token=job.id, job_id=job.id)
    return Accepted(job)


async def _find_replayed(connection: AsyncConnection, rules: JobRules, owner: str, key: IdempotencyKey) -> Job | None:
    record = await find_record(connection, owner, key, rules.idempotency_s)
    if record is None:
        return None
    if not isinstance(record, StoredJob):
        raise Conflict("this key stands for a request that was answered at once, not for a job", field=FIELD)
    row = await connection.execute(select(*JOB_COLUMNS).where(JobRow.id == record.job_id))
    return Job(**row.one()._mapping)


async def _check_queues(connection: AsyncConnection, rules: JobRules, owner: str) -> None:
    mine = func.count().filter(JobRow.owner == owner)
    row = await connection.execute(select(func.count(), mine).where(JobRow.state == "queued"))
    queued, queued_mine = row.one()
    if queued_mine >= rules.owner_queue_limit:
        wait_s = await seconds_until_a_place(connection)
        raise QuotaExceeded(f"{queued_mine} of your jobs wait already, as many as may", retry_after_s=wait_s)
    if queued >= rules.queue_limit:
        wait_s = await seconds_until_a_place(connection)
        raise Overloaded(f"{queued} jobs wait already, as many as may", retry_after_s=wait_s)


async def check_quota(connection: AsyncConnection, owner: str, cost: int, cost_per_day: int) -> None:
    """A day is the last 24 hours. What failed, or was cancelled before it began, costs nothing."""
    if cost > cost_per_day:
        raise InvalidInput(f"this costs {cost} pixel-steps; your quota for a day is {cost_per_day}")
    spent = (await connection.execute(_spending(owner))).all()
    excess = sum(row.cost for row in spent) + cost - cost_per_day
    if excess <= 0:
        return
    freed = itertools.accumulate(row.cost for row in spent)
    wait_ms = next(row.frees_in_ms for row, so_far in zip(spent, freed, strict=True) if so_far >= excess)
    raise QuotaExceeded("your quota for a day is used up", retry_after_s=max(1, math.ceil(wait_ms / 1000)))


def _spending(owner: str) -> Select[int, int]:
    """What each job of the last day cost and when it will be a day old, the oldest first."""
    was_free = or_(JobRow.state == "failed", and_(JobRow.state == "cancelled", JobRow.started_at_ms.is_(None)))
    where = (JobRow.owner == owner, JobRow.created_at_ms > now_ms() - _DAY_MS, ~was_free, JobRow.cost > 0)
    frees_in_ms = (JobRow.created_at_ms + _DAY_MS - now_ms()).label("frees_in_ms")
    return select(JobRow.cost, frees_in_ms).where(*where).order_by(JobRow.created_at_ms)


async def _insert_job(connection: AsyncConnection, rules: JobRules, submission: Submission) -> Job:
    values = {
        "id": str(uuid.uuid4()),
        "owner": submission.owner,
        "kind": submission.kind,
        "priority": int(submission.priority),
        "request": dict(submission.request),
        "cost": submission.cost,
        "state": "queued",
        "attempt": 0,
        "attempt_limit": rules.attempts,
        "available_at_ms": now_ms(),
        "expires_at_ms": now_ms() + round(rules.expiry_s * 1000),
        "created_at_ms": now_ms(),
        "step": 0,
        "steps": submission.steps,
    }
    row = await connection.execute(insert(JobRow).values(values).returning(*JOB_COLUMNS))
    return Job(**row.one()._mapping)
