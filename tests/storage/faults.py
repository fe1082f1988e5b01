"""Starting and killing job processes, and the invariants that hold after every fault."""

import asyncio
import contextlib
import io
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image as Pillow
from sqlalchemy import select

from orchestrator.jobs.model import Job
from orchestrator.lasting import Lasting
from orchestrator.storage.objects import open_objects
from orchestrator.storage.tables import ImageRow, ObjectRow

PROJECT = Path(__file__).parents[2]
TIMEOUT_S = 90


class JobProcess:
    def __init__(self, role: str, database_url: str, folder: Path, redis_url: str | None, phase: str = "-") -> None:
        module = [sys.executable, "-m", "tests.storage.job_process"]
        arguments = [role, database_url, str(folder), redis_url or "-", phase]
        self._process = subprocess.Popen(
            [*module, *arguments], cwd=PROJECT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE
        )

    def wait_ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def wait(self) -> int:
        return self._process.wait(TIMEOUT_S)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def working(
    database_url: str, folder: Path, redis_url: str | None = None, phase: str = "-", role: str = "work"
) -> Iterator[JobProcess]:
    process = JobProcess(role, database_url, folder, redis_url, phase)
    try:
        yield process
    finally:
        process.kill()


async def check_invariants(lasting: Lasting, jobs: Sequence[Job], folder: Path, timeout_s: float = TIMEOUT_S) -> None:
    """None lost, none done twice in its effects, bytes for every row and a row for all bytes."""
    async with asyncio.timeout(timeout_s):
        ended = [await lasting.jobs.wait(job.owner, job.id) for job in jobs]
    assert Counter(job.state for job in ended) == {"completed": len(jobs)}
    async with lasting.database.reading() as connection:
        images = (await connection.execute(select(ImageRow.id, ImageRow.job_id, ImageRow.object_sha256))).all()
    assert Counter(image.job_id for image in images) == {job.id: 1 for job in jobs}
    assert {job.result["image_ids"][0] for job in ended if job.result} == {image.id for image in images}
    for sha256 in {image.object_sha256 for image in images}:
        with Pillow.open(io.BytesIO(await lasting.shelf.read(sha256))) as picture:
            picture.load()
    await lasting.shelf.sweep(grace_s=0.0)
    async with lasting.database.reading() as connection:
        rows = set((await connection.scalars(select(ObjectRow.sha256))).all())
    objects = open_objects(None, folder)
    await objects.remove_unfinished(older_than_s=-1.0)
    assert await objects.names() == rows
