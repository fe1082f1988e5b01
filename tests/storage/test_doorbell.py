"""Redis as a doorbell: it makes workers quick, and nothing depends on it."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from orchestrator.jobs.doorbell import Doorbell
from orchestrator.jobs.events import Hub
from orchestrator.jobs.model import Job, JobRules
from orchestrator.jobs.runner import Runner
from orchestrator.jobs.upkeep import Upkeep
from orchestrator.lasting import Lasting
from orchestrator.storage.objects import open_objects
from tests.storage.jobs import ME, QUICK, drawing, running
from tests.storage.servers import Redis

# So slow to look by itself that only a ring can explain a job that is done.
DEAF = dataclasses.replace(QUICK, reconcile_s=600.0)
TIMEOUT_S = 60


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """The doorbell does not know which database there is."""
    return f"sqlite:///{tmp_path}/triptych.db"


@asynccontextmanager
async def front_and_worker(
    database_url: str, folder: Path, redis: Redis, rules: JobRules = QUICK
) -> AsyncIterator[Lasting]:
    async with AsyncExitStack() as stack:
        for slots in (0, 2):
            each = running(database_url, folder, slots=slots, rules=rules, redis_url=redis.url)
            lasting = await stack.enter_async_context(each)
            if slots == 0:
                front = lasting
        yield front


async def done(front: Lasting, count: int = 1) -> list[Job]:
    jobs = [(await front.jobs.submit(drawing())).job for _ in range(count)]
    async with asyncio.timeout(TIMEOUT_S):
        return [await front.jobs.wait(ME, job.id) for job in jobs]


async def test_a_ring_wakes_a_worker_that_does_not_look_by_itself(
    database_url: str, tmp_path: Path, redis_server: Redis
) -> None:
    async with front_and_worker(database_url, tmp_path, redis_server, DEAF) as front:
        assert [job.state for job in await done(front, 5)] == ["completed"] * 5


async def test_without_redis_jobs_are_done_a_little_later(
    database_url: str, tmp_path: Path, redis_server: Redis
) -> None:
    async with front_and_worker(database_url, tmp_path, redis_server) as front:
        redis_server.kill()
        assert [job.state for job in await done(front, 3)] == ["completed"] * 3
        redis_server.start()
        assert [job.state for job in await done(front, 3)] == ["completed"] * 3


async def test_a_redis_that_hangs_keeps_nobody_from_submitting(
    database_url: str, tmp_path: Path, redis_server: Redis
) -> None:
    async with front_and_worker(database_url, tmp_path, redis_server) as front:
        with redis_server.stopped():
            assert [job.state for job in await done(front, 3)] == ["completed"] * 3


async def test_jobs_whose_rings_were_lost_are_rung_for_again(
    database_url: str, tmp_path: Path, redis_server: Redis
) -> None:
    """Submitted, then Redis is emptied, and only then a worker comes: one that only a ring can wake."""
    async with running(database_url, tmp_path, slots=0, rules=QUICK, redis_url=redis_server.url) as front:
        jobs = [(await front.jobs.submit(drawing())).job for _ in range(3)]
        redis_server.empty()
        async with running(database_url, tmp_path, slots=1, rules=DEAF, redis_url=redis_server.url):
            async with asyncio.timeout(TIMEOUT_S):
                assert [(await front.jobs.wait(ME, job.id)).state for job in jobs] == ["completed"] * 3


async def test_waiting_jobs_do_not_heap_up_rings(database_url: str, tmp_path: Path, redis_server: Redis) -> None:
    async with running(database_url, tmp_path, slots=0, rules=DEAF) as front:
        for _ in range(5):
            await front.jobs.submit(drawing())
        hub, objects = Hub(), open_objects(None, tmp_path / "objects")
        idle = Runner(front.database, front.shelf, hub, {}, QUICK, slots=0)
        doorbell = Doorbell(redis_server.url, 0, idle.drain)
        upkeep = Upkeep(front.database, front.shelf, objects, doorbell, idle, hub, QUICK)
        ringing = asyncio.create_task(doorbell.run())
        for _ in range(10):
            await upkeep.reconcile()
            async with asyncio.timeout(TIMEOUT_S):
                while redis_server.length_of("triptych:jobs") < 5:
                    await asyncio.sleep(0)
        ringing.cancel()
        with suppress(asyncio.CancelledError):
            await ringing
    assert redis_server.length_of("triptych:jobs") == 5
