"""Puts right what has gone wrong, from what SQL says: lost workers, lost rings, old rows, bytes without a use."""

import asyncio
import logging

from sqlalchemy import Select, delete, select

from modelcore.errors import Unavailable
from orchestrator.jobs import leases
from orchestrator.jobs.doorbell import Doorbell
from orchestrator.jobs.events import Hub
from orchestrator.jobs.idempotency import forget_old_records
from orchestrator.jobs.model import JobRules
from orchestrator.jobs.runner import Runner
from orchestrator.storage.database import Database
from orchestrator.storage.dialects import now_ms
from orchestrator.storage.objects import Objects
from orchestrator.storage.shelf import Shelf
from orchestrator.storage.tables import JobRow

CLEANING_EVERY_S = 60.0
_UNFINISHED_AFTER_S = 3600.0
_DELETED_AT_ONCE = 500

log = logging.getLogger(__name__)


class Upkeep:
    """Every process that accepts or does jobs has one: whichever is left alive looks after the rest."""

    def __init__(
        self,
        database: Database,
        shelf: Shelf,
        objects: Objects,
        doorbell: Doorbell,
        runner: Runner,
        hub: Hub,
        rules: JobRules,
    ) -> None:
        self._database = database
        self._shelf = shelf
        self._objects = objects
        self._doorbell = doorbell
        self._runner = runner
        self._hub = hub
        self._rules = rules
        self._drains: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        rounds = max(1, round(CLEANING_EVERY_S / self._rules.reconcile_s))
        while True:
            for number in range(rounds):
                await self._try_round(clean=number == rounds - 1)
                await asyncio.sleep(self._rules.reconcile_s)

    async def _try_round(self, clean: bool) -> None:
        try:
            await self.reconcile()
            if clean:
                await self.clean()
        except Unavailable as error:
            log.warning("upkeep waits: %s", error.detail)
        except Exception:  # the edge of a loop that must go on
            log.exception("upkeep failed")

    async def reconcile(self) -> None:
        async with self._database.writing() as connection:
            changed = [*await leases.reap(connection), *await leases.expire(connection)]
        for job_id in changed:
            log.warning("job %s had lost its worker or its time", job_id)
            self._hub.tell(job_id)
        await self._find_work()

    async def clean(self) -> None:
        async with self._database.writing() as connection:
            await forget_old_records(connection, self._rules.idempotency_s)
            await connection.execute(delete(JobRow).where(JobRow.id.in_(self._old_jobs())))
        await self._shelf.sweep()
        await self._objects.remove_unfinished(_UNFINISHED_AFTER_S)

    async def _find_work(self) -> None:
        """Ring for jobs that nobody was told of, and take some here, should the doorbell itself be broken."""
        ready = (JobRow.state == "queued", JobRow.available_at_ms <= now_ms())
        async with self._database.reading() as connection:
            queued = (await connection.scalars(select(JobRow.id).where(*ready))).all()
        for _ in range(min(self._runner.free_slots, len(queued))):
            task = asyncio.create_task(self._runner.drain())
            self._drains.add(task)
            task.add_done_callback(self._drains.discard)
        for job_id in queued[await self._doorbell.waiting() :]:
            self._doorbell.ring(job_id)

    def _old_jobs(self) -> Select[str]:
        where = JobRow.finished_at_ms < now_ms() - round(self._rules.retention_s * 1000)
        return select(JobRow.id).where(where).limit(_DELETED_AT_ONCE)
