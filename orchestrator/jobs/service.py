"""Jobs as their callers see them: submit, look, follow, cancel. Knows no HTTP and does no work itself."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError

from modelcore.errors import InvalidInput, NotFound
from orchestrator.jobs import leases
from orchestrator.jobs.acceptance import Accepted, accept
from orchestrator.jobs.doorbell import Doorbell
from orchestrator.jobs.events import BEFORE_ALL, Hub, Inbox, JobEvent, event_of
from orchestrator.jobs.forecast import Outlook, outlook
from orchestrator.jobs.idempotency import IdempotencyKey, in_progress
from orchestrator.jobs.leases import JOB_COLUMNS
from orchestrator.jobs.model import Job, JobFile, JobRules, OnPhase, Phase, State, Submission, no_phase_matters
from orchestrator.jobs.runner import Runner
from orchestrator.storage.cursors import newest_first, older_than, write_cursor
from orchestrator.storage.database import Database
from orchestrator.storage.shelf import Shelf
from orchestrator.storage.tables import JobFileRow, JobRow, ObjectRow

MAX_PAGE = 100
SESSION_OWNER = "session:"  # how the owners begin that a cookie proves, see edge/caller.py


@dataclass(frozen=True)
class JobPage:
    jobs: tuple[Job, ...]
    next_cursor: str | None


class Jobs:
    def __init__(
        self,
        database: Database,
        shelf: Shelf,
        hub: Hub,
        doorbell: Doorbell,
        runner: Runner,
        rules: JobRules,
        on_phase: OnPhase = no_phase_matters,
    ) -> None:
        self._database = database
        self._shelf = shelf
        self._hub = hub
        self._doorbell = doorbell
        self._runner = runner
        self._rules = rules
        self._on_phase = on_phase

    async def submit(
        self, submission: Submission, key: IdempotencyKey | None = None, cost_per_day: int | None = None
    ) -> Accepted:
        """When this returns, the job will reach an end, whatever happens to this process."""
        names = await self._shelf.keep(list(submission.inputs.values()))
        inputs = dict(zip(submission.inputs, names, strict=True))
        try:
            async with self._database.writing() as connection:
                accepted = await accept(connection, self._rules, submission, inputs, key, cost_per_day)
                self._on_phase(Phase.ACCEPTING)
        except IntegrityError:
            if key is None:
                raise
            raise in_progress() from None  # a request that is answered at once began with it in this very moment
        self._on_phase(Phase.ACCEPTED)
        if not accepted.is_replay:
            self._doorbell.ring(accepted.job.id)
        return accepted

    async def get(self, owner: str, job_id: str) -> Job:
        return await self._first(JobRow.id == job_id, JobRow.owner == owner)

    async def get_by_ticket(self, job_id: str, kind: str) -> Job:
        """For callers who can prove nothing but that they know its id, 122 random bits. Never the job of an API key."""
        return await self._first(JobRow.id == job_id, JobRow.kind == kind, JobRow.owner.startswith(SESSION_OWNER))

    async def _first(self, *where: ColumnElement[bool]) -> Job:
        async with self._database.reading() as connection:
            row = (await connection.execute(select(*JOB_COLUMNS).where(*where))).one_or_none()
        if row is None:
            raise NotFound("there is no such job")
        return Job(**row._mapping)

    async def file(self, owner: str, job_id: str, name: str) -> JobFile:
        """A picture that the job's answer names."""
        found = select(ObjectRow.sha256, ObjectRow.media_type).join(JobFileRow, JobFileRow.sha256 == ObjectRow.sha256)
        found = found.join(JobRow, JobRow.id == JobFileRow.job_id)
        async with self._database.reading() as connection:
            row = (
                await connection.execute(
                    found.where(JobRow.owner == owner, JobRow.id == job_id, JobFileRow.name == name)
                )
            ).one_or_none()
        if row is None:
            raise NotFound("there is no such file")
        return JobFile(await self._shelf.read(row.sha256), row.media_type)

    async def page(self, owner: str, state: State | None = None, cursor: str | None = None, limit: int = 20) -> JobPage:
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidInput(f"limit must be between 1 and {MAX_PAGE}: {limit}", field="limit")
        where = [JobRow.owner == owner]
        if state is not None:
            where.append(JobRow.state == state)
        if cursor is not None:
            where.append(older_than(cursor, JobRow.created_at_ms, JobRow.id))
        order = newest_first(JobRow.created_at_ms, JobRow.id)
        async with self._database.reading() as connection:
            rows = (
                await connection.execute(select(*JOB_COLUMNS).where(*where).order_by(*order).limit(limit + 1))
            ).all()
        jobs = tuple(Job(**row._mapping) for row in rows[:limit])
        more = len(rows) > limit
        return JobPage(jobs, write_cursor(jobs[-1].created_at_ms, jobs[-1].id) if more else None)

    async def cancel(self, owner: str, job_id: str) -> Job:
        """Ends it unless it has ended; either way, how it ended. The work on it stops within a step."""
        async with self._database.writing() as connection:
            ended = await leases.cancel(connection, owner, job_id)
        if ended:
            self._runner.stop_job(job_id)
            self._hub.tell(job_id)
        return await self.get(owner, job_id)

    async def outlook(self, job: Job) -> Outlook:
        async with self._database.reading() as connection:
            return await outlook(connection, job)

    async def wait(self, owner: str, job_id: str) -> Job:
        """Until it ends. A caller that cannot wait so long puts a deadline around it."""
        async for event in self.follow(owner, job_id):
            job = event.job
        return job

    async def follow(self, owner: str, job_id: str, after: int = BEFORE_ALL) -> AsyncGenerator[JobEvent, None]:
        """Where it stands, each step that is heard of, and its end. `after`: the last id that the follower has seen."""
        with self._hub.listening(job_id) as inbox:
            event = event_of(await self.get(owner, job_id))
            while True:
                if event.id > after:
                    after = event.id
                    # Asked for only now: most looks at a waiting job show nothing new.
                    yield replace(event, outlook=await self.outlook(event.job))
                if event.job.is_done:
                    return
                event = await self._next_event(inbox, event.job)

    async def _next_event(self, inbox: Inbox, job: Job) -> JobEvent:
        news = await inbox.wait(self._rules.poll_s)
        if news is None or (news.attempt, "running") != (job.attempt, job.state):
            return event_of(await self.get(job.owner, job.id))
        ahead = replace(job, step=news.progress.step, steps=news.progress.steps)
        return event_of(ahead, news.progress.preview)
