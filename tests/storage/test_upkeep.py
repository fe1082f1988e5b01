"""What is old or left over goes away, and takes nothing with it that is still wanted."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from modelcore.errors import NotFound
from orchestrator.jobs.doorbell import Doorbell
from orchestrator.jobs.events import Hub
from orchestrator.jobs.model import DAY_S, IsCancelled, JobRules, Outcome, ReportProgress, Submission, Task
from orchestrator.jobs.runner import Runner
from orchestrator.jobs.upkeep import Upkeep
from orchestrator.lasting import Lasting
from orchestrator.storage.dialects import now_ms
from orchestrator.storage.objects import open_objects, sha256_of
from orchestrator.storage.shelf import Parcel
from orchestrator.storage.tables import JobRow, ObjectRow
from tests.storage.jobs import HANDLERS, ME, OTHER, drawing, running
from tests.storage.pictures import png

RULES = JobRules()


@pytest.fixture
async def lasting(database_url: str, tmp_path: Path) -> AsyncIterator[Lasting]:
    async with running(database_url, tmp_path, {**HANDLERS, "overlay": keep_an_overlay}) as lasting:
        yield lasting


@pytest.fixture
async def upkeep(lasting: Lasting, tmp_path: Path) -> Upkeep:
    runner = Runner(lasting.database, lasting.shelf, Hub(), {}, RULES, slots=0)
    doorbell = Doorbell(None, 0, runner.drain)
    objects = open_objects(None, tmp_path / "objects")
    return Upkeep(lasting.database, lasting.shelf, objects, doorbell, runner, Hub(), RULES)


async def age(lasting: Lasting, seconds: float) -> None:
    """As if it had all happened so long ago."""
    moment = now_ms() - round(seconds * 1000)
    async with lasting.database.writing() as connection:
        await connection.execute(update(JobRow).values(finished_at_ms=moment))
        await connection.execute(update(ObjectRow).values(touched_at_ms=moment))


async def test_a_job_is_forgotten_after_a_month_and_its_picture_is_not(lasting: Lasting, upkeep: Upkeep) -> None:
    inputs = {"image": Parcel(png("green"), "image/png")}
    job = await lasting.jobs.wait(ME, (await lasting.jobs.submit(drawing("red", inputs=inputs))).job.id)
    await age(lasting, 29 * DAY_S)
    await upkeep.clean()
    assert (await lasting.jobs.get(ME, job.id)).state == "completed"
    await age(lasting, 31 * DAY_S)
    await upkeep.clean()
    with pytest.raises(NotFound):
        await lasting.jobs.get(ME, job.id)
    image = await lasting.gallery.last(ME)
    assert (image.prompt, image.job_id) == ("red", None)
    assert await lasting.gallery.read(image) == png("red")
    with pytest.raises(NotFound):
        await lasting.shelf.read(sha256_of(png("green")))


async def keep_an_overlay(task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
    return Outcome(answer={"overlay": "overlay"}, files={"overlay": Parcel(png("green"), "image/png")})


async def test_a_file_of_a_jobs_answer_is_kept_as_long_as_the_job(lasting: Lasting, upkeep: Upkeep) -> None:
    job = await lasting.jobs.wait(ME, (await lasting.jobs.submit(Submission(ME, "overlay", {}))).job.id)
    await age(lasting, 29 * DAY_S)
    await upkeep.clean()
    file = await lasting.jobs.file(ME, job.id, "overlay")
    assert (file.data, file.media_type) == (png("green"), "image/png")
    with pytest.raises(NotFound):
        await lasting.jobs.file(OTHER, job.id, "overlay")
    await age(lasting, 31 * DAY_S)
    await upkeep.clean()
    with pytest.raises(NotFound):
        await lasting.shelf.read(sha256_of(png("green")))


async def test_leftovers_of_killed_writers_are_removed(lasting: Lasting, upkeep: Upkeep, tmp_path: Path) -> None:
    """Bytes whose row of the gallery never came."""
    names = await lasting.shelf.keep([Parcel(png("green"), "image/png")])
    await upkeep.clean()
    assert await lasting.shelf.read(names[0]) == png("green")
    await age(lasting, 61.0)
    await upkeep.clean()
    assert await open_objects(None, tmp_path / "objects").names() == set()
