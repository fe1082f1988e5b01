"""The worker as a process knows it: its settings, and its end by a signal."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from modelcore.errors import SetupProblem
from orchestrator.lasting import places_of
from orchestrator.settings import Settings
from orchestrator.worker import check, work
from tests.storage.jobs import ME, Gate, running, waiting
from tests.storage.servers import Redis


async def test_a_worker_that_is_told_to_end_gives_its_work_back(
    database_url: str, tmp_path: Path, redis_server: Redis
) -> None:
    gate = Gate()
    settings = Settings(state_folder=tmp_path, database_url=database_url, redis_url=redis_server.url)
    async with running(database_url, tmp_path, slots=0, redis_url=redis_server.url) as front:
        working = asyncio.create_task(work(settings, {"wait": gate.wait}))
        job = (await front.jobs.submit(waiting())).job
        await gate.until_started(1)
        os.kill(os.getpid(), signal.SIGTERM)
        await working
        given_back = await front.jobs.get(ME, job.id)
    # Another of its slots may have claimed the job in passing, and given it back at once: no attempt counts.
    assert (given_back.state, gate.ended) == ("queued", [job.id])


def test_a_worker_without_redis_would_have_nobody_to_work_for() -> None:
    with pytest.raises(SetupProblem, match="TRIPTYCH_REDIS_URL"):
        check(Settings())


def test_without_urls_everything_is_in_the_state_folder(tmp_path: Path) -> None:
    places = places_of(Settings(state_folder=tmp_path))
    assert (places.database_url, places.objects_folder) == (f"sqlite:///{tmp_path}/triptych.db", tmp_path / "objects")
    assert (places.objects_url, places.redis_url) == (None, None)


def test_a_heartbeat_that_could_miss_its_lease_is_refused() -> None:
    with pytest.raises(ValueError, match="a third of the lease"):
        Settings(job_lease_s=10.0, job_heartbeat_s=5.0)
