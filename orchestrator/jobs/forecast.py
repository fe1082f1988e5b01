"""When a job will be done, from how long jobs and steps have really taken. None where nothing was measured yet."""

import math
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from orchestrator.jobs.model import Job
from orchestrator.storage.dialects import now_ms
from orchestrator.storage.tables import JobRow

_MEASURED_JOBS = 20
_UNMEASURED_WAIT_S = 5
_LONGEST_WAIT_S = 3600
# Said in the statement itself: of a parameter a database cannot know that the index of completed jobs will do.
_IS_COMPLETED = JobRow.state == literal_column("'completed'")


@dataclass(frozen=True)
class Outlook:
    eta_s: float | None = None
    position: int | None = None  # among those that wait: 1 is the next


UNKNOWN = Outlook()


async def outlook(connection: AsyncConnection, job: Job) -> Outlook:
    position = await _position(connection, job) if job.state == "queued" else None
    return Outlook(await seconds_left(connection, job), position)


async def seconds_left(connection: AsyncConnection, job: Job) -> float | None:
    if job.state == "running":
        return await _running_seconds_left(connection, job)
    if job.state == "queued":
        return await _queued_seconds_left(connection, job)
    return None


async def seconds_until_a_place(connection: AsyncConnection) -> int:
    """For Retry-After: how long the queue takes to give up one place."""
    row = await connection.execute(select(func.avg(JobRow.cost)).where(JobRow.state == "queued"))
    average_cost = float(row.scalar_one() or 0)
    pace = await _milliseconds_per_cost(connection)
    if pace is None:
        return _UNMEASURED_WAIT_S
    seconds = average_cost * pace / 1000 / await _running_count(connection)
    return min(_LONGEST_WAIT_S, max(1, math.ceil(seconds)))


async def _running_seconds_left(connection: AsyncConnection, job: Job) -> float | None:
    """By its own steps, which are of one length."""
    if job.started_at_ms is None or not 0 < job.step <= job.steps:
        return None
    now = (await connection.scalars(select(now_ms()))).one()
    return (now - job.started_at_ms) / job.step * (job.steps - job.step) / 1000


async def _queued_seconds_left(connection: AsyncConnection, job: Job) -> float | None:
    """The work ahead of it, shared among as many as run now, and its own. Fairness may let it pass some."""
    pace = await _milliseconds_per_cost(connection, job.kind)
    if pace is None:
        return None
    still_to_do = case((JobRow.steps > 0, JobRow.cost * (JobRow.steps - JobRow.step) / JobRow.steps), else_=JobRow.cost)
    row = await connection.execute(
        select(func.sum(still_to_do)).where(or_(_is_ahead_of(job), JobRow.state == "running"))
    )
    waiting_cost = float(row.scalar_one() or 0) / await _running_count(connection)
    return (waiting_cost + job.cost) * pace / 1000


async def _position(connection: AsyncConnection, job: Job) -> int:
    row = await connection.execute(select(func.count()).where(_is_ahead_of(job)))
    return row.scalar_one() + 1


def _is_ahead_of(job: Job) -> ColumnElement[bool]:
    earlier = and_(JobRow.priority == job.priority, JobRow.created_at_ms < job.created_at_ms)
    return and_(JobRow.state == "queued", or_(JobRow.priority < job.priority, earlier))


async def _milliseconds_per_cost(connection: AsyncConnection, kind: str | None = None) -> float | None:
    """Over the last jobs that were completed; of this kind, where one is given."""
    took = (JobRow.finished_at_ms - JobRow.started_at_ms).label("took_ms")
    where = [_IS_COMPLETED, JobRow.cost > 0]
    if kind is not None:
        where.append(JobRow.kind == kind)
    latest = select(took, JobRow.cost).where(*where).order_by(JobRow.finished_at_ms.desc()).limit(_MEASURED_JOBS)
    last = latest.subquery()
    row = await connection.execute(select(func.sum(last.c.took_ms), func.sum(last.c.cost)))
    took_ms, cost = row.one()
    return float(took_ms) / float(cost) if cost else None


async def _running_count(connection: AsyncConnection) -> int:
    row = await connection.execute(select(func.count()).where(JobRow.state == "running"))
    return max(1, row.scalar_one())
