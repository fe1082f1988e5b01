"""kill -9 of whoever does the work, at every phase and at any time; Redis killed and emptied."""

import asyncio
import dataclasses
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.jobs.model import Phase
from orchestrator.lasting import Lasting
from tests.storage.faults import JobProcess, check_invariants, working
from tests.storage.job_process import KEY, WORKING
from tests.storage.jobs import ME, QUICK, drawing, running
from tests.storage.servers import Postgresql, Redis, running_redis

COLOURS = ("red", "green", "blue", "yellow", "black", "white")
# In a storm a job may well lose its worker three times; then it fails, as it should. Here none may fail.
NEVER_GIVING_UP = dataclasses.replace(QUICK, attempts=1_000)
WORKERS_PHASES = [WORKING, *(phase.value for phase in Phase if phase not in (Phase.ACCEPTING, Phase.ACCEPTED))]


@dataclass(frozen=True)
class Site:
    """One of the two ways to run: a file and no Redis, or PostgreSQL and Redis."""

    database_url: str
    folder: Path
    redis: Redis | None

    @property
    def redis_url(self) -> str | None:
        return self.redis.url if self.redis else None

    def working(self, phase: str = "-", role: str = "work") -> AbstractContextManager[JobProcess]:
        return working(self.database_url, self.folder / "objects", self.redis_url, phase, role)


@pytest.fixture(params=["sqlite alone", "postgresql and redis"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if request.param == "sqlite alone":
        yield Site(f"sqlite:///{tmp_path}/triptych.db", tmp_path, None)
        return
    server = request.getfixturevalue("postgresql")
    assert isinstance(server, Postgresql)
    with running_redis(tmp_path) as redis, server.new_database() as url:
        yield Site(url, tmp_path, redis)


@pytest.fixture
async def front(site: Site) -> AsyncIterator[Lasting]:
    """Accepts jobs and does none, as an orchestrator beside workers."""
    async with running(site.database_url, site.folder, slots=0, redis_url=site.redis_url) as lasting:
        yield lasting


@pytest.mark.parametrize("phase", WORKERS_PHASES)
async def test_a_worker_killed_at_any_phase_loses_no_job_and_doubles_none(
    site: Site, front: Lasting, phase: str
) -> None:
    jobs = [(await front.jobs.submit(drawing(colour))).job for colour in COLOURS[:3]]
    with site.working(phase) as doomed:
        assert await asyncio.to_thread(doomed.wait) == -signal.SIGKILL
    with site.working():
        await check_invariants(front, jobs, site.folder / "objects")


@pytest.mark.parametrize(("phase", "is_accepted"), [(Phase.ACCEPTING, False), (Phase.ACCEPTED, True)])
async def test_a_front_killed_while_it_accepts_has_taken_the_job_or_has_not(
    site: Site, front: Lasting, phase: Phase, is_accepted: bool
) -> None:
    with site.working(phase.value, role="submit") as doomed:
        assert await asyncio.to_thread(doomed.wait) == -signal.SIGKILL
    assert len((await front.jobs.page(ME)).jobs) == is_accepted
    again = await front.jobs.submit(drawing(), KEY)
    assert again.is_replay is is_accepted
    with site.working():
        await check_invariants(front, [again.job], site.folder / "objects")


async def stormy(site: Site, job_count: int, kills: int, seed: int) -> None:
    """Two workers, of which one is killed and replaced again and again while jobs come in."""
    chance = random.Random(seed)
    jobs = []
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(
            running(site.database_url, site.folder, slots=0, rules=NEVER_GIVING_UP, redis_url=site.redis_url)
        )
        workers = [stack.enter_context(site.working()) for _ in range(2)]
        for number in range(job_count):
            submission = drawing(chance.choice(COLOURS), owner=f"key:{number % 3}", steps=chance.randrange(30))
            jobs.append((await front.jobs.submit(submission)).job)
            if number % (job_count // kills) == 0:
                victim = chance.randrange(2)
                await asyncio.to_thread(workers[victim].wait_ready)
                workers[victim].kill()
                if site.redis and chance.random() < 0.5:
                    site.redis.empty()
                workers[victim] = stack.enter_context(site.working())
        if site.redis:
            site.redis.kill()
            site.redis.start()
        await check_invariants(front, jobs, site.folder / "objects", timeout_s=20.0 * job_count)


async def test_kills_at_any_time_lose_no_job_and_double_none(site: Site) -> None:
    await stormy(site, job_count=18, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_fifty_kills_among_two_hundred_jobs_lose_none_and_double_none(site: Site) -> None:
    await stormy(site, job_count=200, kills=50, seed=2)
