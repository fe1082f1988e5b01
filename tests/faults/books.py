"""What the database and the picture store say, and the invariants that hold after every storm."""

import asyncio
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image as Pillow
from sqlalchemy import create_engine, func, select

from orchestrator.jobs.model import TERMINAL
from orchestrator.storage.database import Database
from orchestrator.storage.dialects import parse_url
from orchestrator.storage.objects import open_objects
from orchestrator.storage.shelf import Shelf
from orchestrator.storage.tables import IdempotencyRow, ImageRow, JobRow, ObjectRow
from tests.faults.callers import Heard, Wish

_JOB = (JobRow.id, JobRow.state, JobRow.attempt, JobRow.result, JobRow.error_code, JobRow.error_detail)
_IMAGE = (ImageRow.id, ImageRow.job_id, ImageRow.job_position, ImageRow.object_sha256, ImageRow.thumbnail_sha256)


class Books:
    """Read from outside, in a process that has no part in the work."""

    def __init__(self, database_url: str, objects_folder: Path) -> None:
        self._url = database_url
        self._engine = create_engine(parse_url(database_url).set(drivername=_sync_driver(database_url)))
        self._objects = objects_folder

    def close(self) -> None:
        self._engine.dispose()

    def nearly_spent(self) -> set[str]:
        """Jobs that one more kill would fail: at their last attempt, or about to begin it."""
        is_next_the_last = (JobRow.state == "queued") & (JobRow.attempt >= JobRow.attempt_limit - 1)
        is_at_the_last = (JobRow.state == "running") & (JobRow.attempt >= JobRow.attempt_limit)
        return {row.id for row in self._rows(select(JobRow.id).where(is_next_the_last | is_at_the_last))}

    def unfinished(self) -> set[str]:
        return {row.id for row in self._rows(select(JobRow.id).where(JobRow.state.not_in(TERMINAL)))}

    def finished_count(self) -> int:
        (row,) = self._rows(select(func.count().label("jobs")).where(JobRow.state.in_(TERMINAL)))
        return int(row.jobs)

    def is_one_running(self) -> bool:
        return bool(self._rows(select(JobRow.id).where(JobRow.state == "running").limit(1)))

    def queued_count(self) -> int:
        (row,) = self._rows(select(func.count().label("jobs")).where(JobRow.state == "queued"))
        return int(row.jobs)

    def jobs(self) -> dict[str, Any]:
        return {row.id: row for row in self._rows(select(*_JOB))}

    def images(self) -> Sequence[Any]:
        return self._rows(select(*_IMAGE).order_by(ImageRow.job_id, ImageRow.job_position))

    def keys_of_jobs(self) -> Counter[str]:
        return Counter(row.job_id for row in self._rows(select(IdempotencyRow.job_id)))

    def rows_of_bytes(self) -> set[str]:
        return {row.sha256 for row in self._rows(select(ObjectRow.sha256))}

    def bytes_of(self, sha256: str) -> bytes:
        return (self._objects / sha256[:2] / sha256).read_bytes()

    def sweep(self) -> set[str]:
        """As the sweeper does, without its grace; the names that have bytes after that."""
        return asyncio.run(self._sweep())

    async def _sweep(self) -> set[str]:
        database, objects = Database(self._url), open_objects(None, self._objects)
        try:
            while await Shelf(database, objects).sweep(grace_s=0.0):
                pass
        finally:
            await database.close()
        await objects.remove_unfinished(older_than_s=-1.0)
        return await objects.names()

    def _rows(self, statement: Any) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(statement).all()


def _sync_driver(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"


def check_answers(heard: Heard) -> None:
    """No 5xx but 503, nothing that a client does not expect, and patience only where it is told for how long."""
    assert set(heard.statuses) <= {200, 202, 429, 503}, heard.statuses
    assert heard.without_retry_after == 0


def check_jobs(books: Books, wishes: Sequence[Wish]) -> None:
    """One job for each key and no other; each at its end, the one that was told; none failed."""
    jobs = books.jobs()
    assert [len(wish.job_ids) for wish in wishes] == [1] * len(wishes)
    assert jobs.keys() == {wish.job_id for wish in wishes}
    assert books.keys_of_jobs() == Counter(jobs.keys())
    failed = {job.id: (job.attempt, job.error_code, job.error_detail) for job in jobs.values() if job.state == "failed"}
    assert not failed
    assert {job.state for job in jobs.values()} <= {"completed", "cancelled"}
    for wish in wishes:
        assert wish.ends_told <= {jobs[wish.job_id].state}


def check_pictures(books: Books, wishes: Sequence[Wish]) -> None:
    """Every success has the pictures that it was asked for, once; whatever was cancelled has none."""
    jobs, images = books.jobs(), books.images()
    by_job: dict[str, list[Any]] = {job_id: [] for job_id in jobs}
    for image in images:
        by_job[image.job_id].append(image)
    for wish in wishes:
        job, mine = jobs[wish.job_id], by_job[wish.job_id]
        asked = wish.request["num_images"] if job.state == "completed" else 0
        assert [image.job_position for image in mine] == list(range(asked))
        if asked:
            assert job.result["image_ids"] == [image.id for image in mine]
            assert job.result["images"][0]["seed"] == wish.request["seed"]
    for sha256 in {name for image in images for name in (image.object_sha256, image.thumbnail_sha256)}:
        check_picture(books.bytes_of(sha256), sha256)


def check_picture(data: bytes, sha256: str) -> None:
    assert hashlib.sha256(data).hexdigest() == sha256
    with Pillow.open(io.BytesIO(data)) as picture:
        picture.load()


def check_bytes(books: Books) -> None:
    """No bytes without a row, no row without bytes."""
    assert books.sweep() == books.rows_of_bytes()
