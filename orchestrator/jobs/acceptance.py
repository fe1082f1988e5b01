"""Accepting a job: its row, its request, its inputs' checksums and its idempotency record, in one transaction."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from modelcore.errors import Conflict, Overloaded, QuotaExceeded
from orchestrator.jobs.forecast import seconds_until_a_place
from orchestrator.jobs.idempotency import FIELD, IdempotencyKey, StoredJob, find_record, insert_record
from orchestrator.jobs.leases import JOB_COLUMNS
from orchestrator.jobs.model import Job, JobRules, Submission
from orchestrator.keys.quota import check_quota
from orchestrator.storage.dialects import Turn, now_ms, take_turn
from orchestrator.storage.tables import JobInputRow, JobRow


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
        wait_s = await seconds_until_a_place(connection, owner)
        raise QuotaExceeded(f"{queued_mine} of your jobs wait already, as many as may", retry_after_s=wait_s)
    if queued >= rules.queue_limit:
        wait_s = await seconds_until_a_place(connection)
        raise Overloaded(f"{queued} jobs wait already, as many as may", retry_after_s=wait_s)


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
