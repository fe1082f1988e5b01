"""Everything that lasts, put together: database, picture store, gallery, jobs, keys. Each process has one.

What each process does differs by two numbers only: where the doorbell is, and how many jobs it does at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.gallery.service import Gallery
from orchestrator.jobs.doorbell import Doorbell
from orchestrator.jobs.events import Hub
from orchestrator.jobs.idempotency import Idempotency
from orchestrator.jobs.model import Handler, IsReady, JobRules, OnPhase, always_ready, no_phase_matters
from orchestrator.jobs.runner import Runner
from orchestrator.jobs.service import Jobs
from orchestrator.jobs.upkeep import Upkeep
from orchestrator.keys.service import Keys
from orchestrator.settings import Settings
from orchestrator.storage.database import Database
from orchestrator.storage.objects import open_objects
from orchestrator.storage.schema import migrate
from orchestrator.storage.shelf import Shelf

# Storing and looking at what was painted have deadlines of their own, far below this together.
_BEYOND_PAINTING_S = 300.0


@dataclass(frozen=True)
class Places:
    """Where things are kept. None is the default for one machine: a folder, and a queue in memory."""

    database_url: str
    objects_folder: Path
    objects_url: str | None = None
    redis_url: str | None = None


def places_of(settings: Settings) -> Places:
    folder = settings.state_folder.resolve()
    url = settings.database_url or f"sqlite:///{folder / 'triptych.db'}"
    return Places(url, folder / "objects", settings.objects_url, settings.redis_url)


def rules_of(settings: Settings) -> JobRules:
    return JobRules(
        lease_s=settings.job_lease_s,
        heartbeat_s=settings.job_heartbeat_s,
        attempts=settings.job_attempts,
        expiry_s=settings.job_expiry_s,
        retention_s=settings.job_retention_s,
        queue_limit=settings.job_queue_limit,
        owner_queue_limit=settings.job_queue_limit_per_caller,
        idempotency_hold_s=settings.generate_deadline_s + _BEYOND_PAINTING_S,
    )


@dataclass(frozen=True)
class Lasting:
    database: Database
    shelf: Shelf
    gallery: Gallery
    jobs: Jobs
    idempotency: Idempotency
    keys: Keys


@asynccontextmanager
async def running_lasting(
    places: Places,
    handlers: Mapping[str, Handler],
    slots: int,
    rules: JobRules | None = None,
    on_phase: OnPhase = no_phase_matters,
    is_ready: IsReady = always_ready,
) -> AsyncIterator[Lasting]:
    """With no slots it accepts jobs and leaves the work to other processes."""
    rules = rules or JobRules()
    database = Database(places.database_url)
    try:
        await migrate(database)
        objects = open_objects(places.objects_url, places.objects_folder)
        shelf, hub = Shelf(database, objects), Hub()
        runner = Runner(database, shelf, hub, handlers, rules, slots, on_phase, is_ready)
        doorbell = Doorbell(places.redis_url, slots, runner.drain)
        upkeep = Upkeep(database, shelf, objects, doorbell, runner, hub, rules)
        async with _running(doorbell, upkeep, runner):
            yield Lasting(
                database=database,
                shelf=shelf,
                gallery=Gallery(database, shelf),
                jobs=Jobs(database, shelf, hub, doorbell, runner, rules, on_phase),
                idempotency=Idempotency(database, rules.idempotency_s, rules.idempotency_hold_s),
                keys=Keys(database),
            )
    finally:
        await database.close()


@asynccontextmanager
async def _running(doorbell: Doorbell, upkeep: Upkeep, runner: Runner) -> AsyncIterator[None]:
    """Work ends first, and its leases are kept until it has; then the bell, whose threads waited for that work."""
    keeping = asyncio.create_task(runner.keep_leases(), name="leases")
    ringing = asyncio.create_task(doorbell.run(), name="doorbell")
    looking_after = asyncio.create_task(upkeep.run(), name="upkeep")
    try:
        yield
    finally:
        await _ended(looking_after)
        await runner.stop()
        await _ended(ringing)
        await _ended(keeping)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
