"""Who has which job: claiming, renewing, ending. Every change is one guarded UPDATE, so that of two racers one wins."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from orchestrator.jobs.model import JOB_FIELDS, Claim, Job
from orchestrator.storage.dialects import Turn, now_ms, take_turn
from orchestrator.storage.tables import JobRow

JOB_COLUMNS = [getattr(JobRow, name) for name in JOB_FIELDS]
LOST_WORKER = "lost_worker"
EXPIRED = "expired"
_RIVAL = JobRow.__table__.alias()
_NO_LEASE: dict[str, Any] = {"lease_token": None, "lease_until_ms": None}


async def claim(connection: AsyncConnection, kinds: Collection[str], lease_s: float) -> Claim | None:
    """The next job of these kinds, by priority, then by who has least running and has waited longest to be served."""
    await take_turn(connection, Turn.CLAIM)
    ready = (
        JobRow.state == "queued",
        JobRow.kind.in_(kinds),
        JobRow.available_at_ms <= now_ms(),
        JobRow.expires_at_ms > now_ms(),
    )
    while (owner := (await connection.scalars(_next_owner(ready))).one_or_none()) is not None:
        first = select(JobRow.id).where(*ready, JobRow.owner == owner)
        first = first.order_by(JobRow.priority, JobRow.created_at_ms, JobRow.id).limit(1)
        job_id = (await connection.scalars(first)).one_or_none()
        taken = await _take(connection, job_id, lease_s) if job_id else None
        if taken is not None:  # else its owner has cancelled it in between, which PostgreSQL allows
            return taken
    return None


def _next_owner(ready: Sequence[ColumnElement[bool]]) -> Any:
    rival = _RIVAL.c
    running = select(func.count()).where(rival.owner == JobRow.owner, rival.state == "running").scalar_subquery()
    served = select(func.max(rival.started_at_ms)).where(rival.owner == JobRow.owner).scalar_subquery()
    order = (func.min(JobRow.priority), running, func.coalesce(served, 0), func.min(JobRow.created_at_ms))
    return select(JobRow.owner).where(*ready).group_by(JobRow.owner).order_by(*order).limit(1)


async def _take(connection: AsyncConnection, job_id: str, lease_s: float) -> Claim | None:
    token = str(uuid.uuid4())
    values = {
        "state": "running",
        "attempt": JobRow.attempt + 1,
        "lease_token": token,
        "lease_until_ms": _after(lease_s),
        "started_at_ms": now_ms(),
        "step": 0,
    }
    guard = (JobRow.id == job_id, JobRow.state == "queued")
    row = (await connection.execute(update(JobRow).where(*guard).values(values).returning(*JOB_COLUMNS))).one_or_none()
    return None if row is None else Claim(Job(**row._mapping), token)


async def renew(connection: AsyncConnection, tokens: Collection[str], lease_s: float) -> set[str]:
    """Of these tokens, those that still hold their jobs; they hold them longer now."""
    guard = (JobRow.lease_token.in_(tokens), JobRow.state == "running")
    change = update(JobRow).where(*guard).values(lease_until_ms=_after(lease_s)).returning(JobRow.lease_token)
    return set((await connection.scalars(change)).all())  # type: ignore[arg-type]


async def still_held(connection: AsyncConnection, tokens: Collection[str]) -> set[str]:
    guard = (JobRow.lease_token.in_(tokens), JobRow.state == "running")
    return set((await connection.scalars(select(JobRow.lease_token).where(*guard))).all())  # type: ignore[arg-type]


async def record_step(connection: AsyncConnection, claim: Claim, step: int, steps: int) -> bool:
    return await _change(connection, claim, {"step": step, "steps": steps})


async def complete(connection: AsyncConnection, claim: Claim, result: dict[str, Any]) -> bool:
    values = {"state": "completed", "result": result, "finished_at_ms": now_ms(), "step": JobRow.steps}
    return await _change(connection, claim, values | _NO_LEASE)


async def fail(connection: AsyncConnection, claim: Claim, code: str, detail: str) -> bool:
    values = {"state": "failed", "error_code": code, "error_detail": detail, "finished_at_ms": now_ms()}
    return await _change(connection, claim, values | _NO_LEASE)


async def retry_or_fail(connection: AsyncConnection, claim: Claim, code: str, detail: str, pause_s: float) -> bool:
    values = _next_try(code, detail) | {"available_at_ms": _after(pause_s)}
    return await _change(connection, claim, values)


async def give_back(connection: AsyncConnection, claim: Claim) -> bool:
    """An orderly end of the worker is no failed attempt: the job gets one more."""
    values = {"state": "queued", "attempt_limit": JobRow.attempt_limit + 1, "step": 0}
    return await _change(connection, claim, values | _NO_LEASE)


async def cancel(connection: AsyncConnection, owner: str, job_id: str) -> bool:
    """Whether this call ended it. What has ended already stays as it ended."""
    guard = (JobRow.id == job_id, JobRow.owner == owner, JobRow.state.in_(("queued", "running")))
    values = {"state": "cancelled", "finished_at_ms": now_ms()} | _NO_LEASE
    return bool((await connection.execute(update(JobRow).where(*guard).values(values))).rowcount)


async def reap(connection: AsyncConnection) -> list[str]:
    """Jobs whose worker has let its lease run out go back to the queue, or fail at their last attempt."""
    guard = (JobRow.state == "running", JobRow.lease_until_ms < now_ms())
    values = _next_try(LOST_WORKER, "the worker was lost at every attempt") | {"available_at_ms": now_ms()}
    return list((await connection.scalars(update(JobRow).where(*guard).values(values).returning(JobRow.id))).all())


async def expire(connection: AsyncConnection) -> list[str]:
    guard = (JobRow.state == "queued", JobRow.expires_at_ms <= now_ms())
    values = {
        "state": "failed",
        "error_code": EXPIRED,
        "error_detail": "it waited too long in the queue",
        "finished_at_ms": now_ms(),
    }
    return list((await connection.scalars(update(JobRow).where(*guard).values(values).returning(JobRow.id))).all())


def _next_try(code: str, detail: str) -> dict[str, Any]:
    is_last = JobRow.attempt >= JobRow.attempt_limit
    return {
        "state": case((is_last, "failed"), else_="queued"),
        "error_code": case((is_last, code), else_=None),
        "error_detail": case((is_last, detail), else_=None),
        "finished_at_ms": case((is_last, now_ms()), else_=None),
        "step": 0,
    } | _NO_LEASE


async def _change(connection: AsyncConnection, claim: Claim, values: dict[str, Any]) -> bool:
    """The guard of every effect: the job is still running, and it is still ours."""
    guard = (JobRow.id == claim.job.id, JobRow.lease_token == claim.token, JobRow.state == "running")
    return bool((await connection.execute(update(JobRow).where(*guard).values(values))).rowcount)


def _after(seconds: float) -> ColumnElement[int]:
    return now_ms() + round(seconds * 1000)
