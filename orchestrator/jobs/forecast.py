"""When a job will be done, from how long jobs and steps have really taken. None where nothing was measured yet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Row, and_, distinct, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from orchestrator.jobs.model import Job
from orchestrator.storage.dialects import now_ms
from orchestrator.storage.tables import JobRow

_MEASURED_JOBS = 20
_UNMEASURED_WAIT_S = 5
_LONGEST_WAIT_S = 3600
_Begun = Row[str, int, int, int, int | None]  # kind, cost, step, steps, started_at_ms
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


async def seconds_until_a_place(connection: AsyncConnection, owner: str | None = None) -> int:
    """For Retry-After: how long the queue takes to give up one place; with an owner, one of that owner's."""
    queued = JobRow.state == "queued"
    count = (await connection.execute(select(func.count()).where(queued))).scalar_one()
    waiting_ms = await _queued_ms(connection, queued)
    if not waiting_ms:
        return _UNMEASURED_WAIT_S
    turns = 1 if owner is None else await _turns_until(connection, owner)
    seconds = waiting_ms / count * turns / 1000 / max(1, len(await _running(connection)))
    return min(_LONGEST_WAIT_S, max(1, math.ceil(seconds)))


async def _turns_until(connection: AsyncConnection, owner: str) -> int:
    """How many jobs are begun until one of this owner's is: all that are more urgent, then one of each caller."""
    queued = JobRow.state == "queued"
    own = select(func.min(JobRow.priority)).where(queued, JobRow.owner == owner).scalar_subquery()
    more_urgent = func.count().filter(JobRow.priority < own)
    callers = func.count(distinct(JobRow.owner)).filter(JobRow.priority == own)
    row = await connection.execute(select(more_urgent + callers).where(queued))
    return row.scalar_one()


async def _running_seconds_left(connection: AsyncConnection, job: Job) -> float | None:
    """By its own steps, which are of one length; before the first, and of a kind without steps, by its kind's pace."""
    if job.started_at_ms is None or job.step > job.steps:
        return None
    took_ms = await _now(connection) - job.started_at_ms
    if job.step > 0:
        return took_ms / job.step * (job.steps - job.step) / 1000
    pace = await _milliseconds_per_cost(connection, job.kind)
    return None if pace is None else max(0.0, job.cost * pace - took_ms) / 1000


async def _queued_seconds_left(connection: AsyncConnection, job: Job) -> float | None:
    """The work ahead of it, shared among as many as run now, and its own. Fairness may let it pass some."""
    pace = await _milliseconds_per_cost(connection, job.kind)
    ahead_ms = await _queued_ms(connection, _is_ahead_of(job))
    running = await _running(connection)
    begun_ms = await _begun_ms(connection, running)
    if pace is None or ahead_ms is None or begun_ms is None:
        return None
    return ((ahead_ms + begun_ms) / max(1, len(running)) + job.cost * pace) / 1000


async def _queued_ms(connection: AsyncConnection, which: ColumnElement[bool]) -> float | None:
    """One kind's cost takes another's time many times over, so each counts at its own pace."""
    costs = select(JobRow.kind, func.sum(JobRow.cost)).where(which, JobRow.cost > 0).group_by(JobRow.kind)
    total_ms = 0.0
    for kind, cost in (await connection.execute(costs)).all():
        pace = await _milliseconds_per_cost(connection, kind)
        if pace is None:
            return None
        total_ms += float(cost) * pace
    return total_ms


async def _begun_ms(connection: AsyncConnection, running: Sequence[_Begun]) -> float | None:
    """What is left of these: by the steps they have told of, or else by when they were begun."""
    paces = {kind: await _milliseconds_per_cost(connection, kind) for kind in {job.kind for job in running}}
    now = await _now(connection)
    total_ms = 0.0
    for job in running:
        pace = paces[job.kind]
        if pace is None:
            return None
        total_ms += _left_ms(job, job.cost * pace, now)
    return total_ms


def _left_ms(job: _Begun, whole_ms: float, now: int) -> float:
    if job.step > 0:
        share: float = (job.steps - job.step) / max(1, job.steps)
        return whole_ms * share
    return max(0.0, whole_ms - (now - (job.started_at_ms or now)))


async def _position(connection: AsyncConnection, job: Job) -> int:
    row = await connection.execute(select(func.count()).where(_is_ahead_of(job)))
    return row.scalar_one() + 1


def _is_ahead_of(job: Job) -> ColumnElement[bool]:
    earlier = and_(JobRow.priority == job.priority, JobRow.created_at_ms < job.created_at_ms)
    return and_(JobRow.state == "queued", or_(JobRow.priority < job.priority, earlier))


async def _milliseconds_per_cost(connection: AsyncConnection, kind: str) -> float | None:
    """Over the last jobs of this kind that were completed."""
    took = (JobRow.finished_at_ms - JobRow.started_at_ms).label("took_ms")
    where = (_IS_COMPLETED, JobRow.cost > 0, JobRow.kind == kind)
    latest = select(took, JobRow.cost).where(*where).order_by(JobRow.finished_at_ms.desc()).limit(_MEASURED_JOBS)
    last = latest.subquery()
    row = await connection.execute(select(func.sum(last.c.took_ms), func.sum(last.c.cost)))
    took_ms, cost = row.one()
    return float(took_ms) / float(cost) if cost else None


async def _running(connection: AsyncConnection) -> Sequence[_Begun]:
    columns = (JobRow.kind, JobRow.cost, JobRow.step, JobRow.steps, JobRow.started_at_ms)
    return (await connection.execute(select(*columns).where(JobRow.state == "running"))).all()


async def _now(connection: AsyncConnection) -> int:
    return (await connection.scalars(select(now_ms()))).one()
