"""The life of a job on both databases: accepted, done, followed, failed, tried again, cancelled."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from modelcore.errors import InvalidInput, NotFound
from orchestrator.jobs.events import JobEvent
from orchestrator.jobs.model import Job, Submission
from orchestrator.lasting import Lasting
from orchestrator.storage.objects import sha256_of
from orchestrator.storage.shelf import Parcel
from orchestrator.storage.tables import ImageRow, JobRow
from tests.storage.jobs import HANDLERS, ME, OTHER, QUICK, Gate, drawing, running, waiting
from tests.storage.pictures import png

TIMEOUT_S = 30


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def lasting(database_url: str, tmp_path: Path, gate: Gate) -> AsyncIterator[Lasting]:
    async with running(database_url, tmp_path, {**HANDLERS, "wait": gate.wait}) as lasting:
        yield lasting


async def submitted(lasting: Lasting, submission: Submission) -> Job:
    return (await lasting.jobs.submit(submission)).job


async def ended(lasting: Lasting, job: Job) -> Job:
    async with asyncio.timeout(TIMEOUT_S):
        return await lasting.jobs.wait(job.owner, job.id)


async def done(lasting: Lasting, submission: Submission) -> Job:
    return await ended(lasting, await submitted(lasting, submission))


async def followed(lasting: Lasting, job: Job, after: int = -1) -> list[JobEvent]:
    async with asyncio.timeout(TIMEOUT_S):
        return [event async for event in lasting.jobs.follow(job.owner, job.id, after)]


async def test_an_accepted_job_is_done_and_its_picture_is_in_the_gallery(lasting: Lasting) -> None:
    job = await done(lasting, drawing("blue"))
    assert (job.state, job.attempt, job.step, job.error_code) == ("completed", 1, 3, None)
    assert job.result is not None
    image = await lasting.gallery.get(ME, job.result["image_ids"][0])
    assert (image.prompt, image.job_id) == ("blue", job.id)
    assert await lasting.gallery.read(image) == png("blue")


async def test_a_handler_gets_the_pictures_that_came_with_the_request(lasting: Lasting) -> None:
    inputs = {"image": Parcel(png("red"), "image/png"), "mask_image": Parcel(png("white"), "image/png")}
    job = await done(lasting, drawing(inputs=inputs))
    assert job.result is not None
    assert job.result["inputs"] == {name: sha256_of(parcel.data) for name, parcel in inputs.items()}


async def test_the_pictures_that_came_with_a_request_stay_as_long_as_the_job(lasting: Lasting) -> None:
    await done(lasting, drawing(inputs={"image": Parcel(png("green"), "image/png")}))
    await lasting.shelf.sweep(grace_s=0.0)
    assert await lasting.shelf.read(sha256_of(png("green"))) == png("green")


async def test_a_request_that_is_wrong_fails_at_once_and_says_why(lasting: Lasting) -> None:
    job = await done(lasting, Submission(ME, "refuse", {}))
    assert (job.state, job.attempt, job.error_code) == ("failed", 1, "invalid_input")
    assert job.error_detail == "the colour must be one that can be seen"


async def test_what_passes_is_tried_again(lasting: Lasting) -> None:
    job = await done(lasting, Submission(ME, "stumble", {"good_at": 3}))
    assert (job.state, job.attempt) == ("completed", 3)


async def test_the_third_attempt_is_the_last(lasting: Lasting) -> None:
    job = await done(lasting, Submission(ME, "stumble", {"good_at": 4}))
    assert (job.state, job.attempt, job.error_code) == ("failed", 3, "unavailable")
    assert job.error_detail == "the model is being loaded"


async def test_while_who_does_the_work_is_away_no_job_is_begun(database_url: str, tmp_path: Path) -> None:
    asked, is_back = asyncio.Event(), asyncio.Event()

    async def is_ready() -> bool:
        asked.set()
        return is_back.is_set()

    async with running(database_url, tmp_path, is_ready=is_ready) as lasting:
        job = await submitted(lasting, drawing())
        for _ in range(2):  # it goes on asking
            async with asyncio.timeout(TIMEOUT_S):
                await asked.wait()
            asked.clear()
        assert (await lasting.jobs.get(ME, job.id)).state == "queued"
        is_back.set()
        job = await ended(lasting, job)
    assert (job.state, job.attempt) == ("completed", 1)


async def test_our_own_mistakes_are_not_told_to_clients(lasting: Lasting) -> None:
    job = await done(lasting, Submission(ME, "crash", {}))
    assert (job.state, job.attempt, job.error_code) == ("failed", 3, "internal_fault")
    assert "secret" not in str(job)


async def test_a_follower_hears_of_every_step_in_order_and_of_the_end(lasting: Lasting, gate: Gate) -> None:
    events = await followed(lasting, await submitted(lasting, drawing(steps=5)))
    assert [event.id for event in events] == sorted({event.id for event in events})
    assert events[-1].name == "completed"
    assert {event.name for event in events[:-1]} <= {"queued", "progress"}
    assert all(event.preview in (None, b"step %d" % event.job.step) for event in events)


async def test_a_follower_that_comes_back_gets_only_what_it_has_not_seen(lasting: Lasting) -> None:
    job = await submitted(lasting, drawing())
    events = await followed(lasting, job)
    assert await followed(lasting, job, after=events[-2].id) == [
        dataclasses.replace(events[-1], job=await lasting.jobs.get(ME, job.id))
    ]
    assert await followed(lasting, job, after=events[-1].id) == []


async def test_a_queued_job_is_cancelled_before_it_begins(lasting: Lasting, gate: Gate) -> None:
    for _ in range(4):
        await submitted(lasting, waiting())
    await gate.until_started(4)
    fifth = await submitted(lasting, waiting())
    cancelled = await lasting.jobs.cancel(ME, fifth.id)
    assert (cancelled.state, cancelled.attempt, cancelled.started_at_ms) == ("cancelled", 0, None)
    gate.open.set()


async def test_cancelling_stops_the_work_and_frees_its_slot(lasting: Lasting, gate: Gate) -> None:
    jobs = [await submitted(lasting, waiting()) for _ in range(5)]
    await gate.until_started(4)
    assert (await lasting.jobs.cancel(ME, gate.started[0])).state == "cancelled"
    await gate.until_ended(1)
    await gate.until_started(5)
    gate.open.set()
    states = [(await ended(lasting, job)).state for job in jobs]
    assert sorted(states) == ["cancelled", *["completed"] * 4]


async def test_what_has_ended_cannot_be_cancelled(lasting: Lasting) -> None:
    job = await done(lasting, drawing())
    assert await lasting.jobs.cancel(ME, job.id) == job


async def test_cancelling_while_the_work_ends_leaves_one_end(lasting: Lasting) -> None:
    async def race(number: int) -> Job:
        job = await submitted(lasting, drawing(steps=number % 4))
        async for event in lasting.jobs.follow(ME, job.id):
            if event.job.step >= number % 4 or event.job.is_done:
                break
        await lasting.jobs.cancel(ME, job.id)
        return await ended(lasting, job)

    jobs = await asyncio.gather(*(race(number) for number in range(100)))
    assert {job.state for job in jobs} <= {"completed", "cancelled"}
    assert [await lasting.jobs.get(ME, job.id) for job in jobs] == jobs
    async with lasting.database.reading() as connection:
        drawn = (await connection.scalars(select(ImageRow.job_id))).all()
    assert sorted(drawn, key=str) == sorted(job.id for job in jobs if job.state == "completed")


async def test_anothers_job_is_as_if_it_did_not_exist(lasting: Lasting) -> None:
    job = await done(lasting, drawing(owner=OTHER))
    for asked in (lasting.jobs.get(ME, job.id), lasting.jobs.cancel(ME, job.id), lasting.jobs.wait(ME, job.id)):
        with pytest.raises(NotFound, match="no such job"):
            await asked
    assert (await lasting.jobs.page(ME)).jobs == ()


async def test_jobs_are_listed_in_pages_and_by_state(lasting: Lasting, gate: Gate) -> None:
    drawn = [(await done(lasting, drawing())).id for _ in range(3)]
    stuck = (await submitted(lasting, waiting())).id
    await gate.until_started(1)
    first = await lasting.jobs.page(ME, limit=2)
    second = await lasting.jobs.page(ME, cursor=first.next_cursor, limit=2)
    assert [job.id for job in (*first.jobs, *second.jobs)] == [stuck, *drawn[::-1]]
    assert second.next_cursor is None
    assert [job.id for job in (await lasting.jobs.page(ME, state="running")).jobs] == [stuck]
    gate.open.set()
    with pytest.raises(InvalidInput):
        await lasting.jobs.page(ME, limit=0)


async def test_stopping_gives_the_work_back_without_counting_an_attempt(
    database_url: str, tmp_path: Path, gate: Gate
) -> None:
    for attempt in range(1, 6):
        async with running(database_url, tmp_path, {"wait": gate.wait}, slots=1) as lasting:
            if attempt == 1:
                job = await submitted(lasting, waiting())
            await gate.until_started(attempt)
    gate.open.set()
    async with running(database_url, tmp_path, {"wait": gate.wait}, slots=1) as lasting:
        assert (await ended(lasting, job)).state == "completed"


async def test_a_job_whose_worker_is_lost_is_done_by_another_and_the_lost_one_has_no_effect(
    database_url: str, tmp_path: Path, gate: Gate
) -> None:
    """The first worker never renews its lease, as if it were stopped; it wakes up when the second is done."""
    asleep = dataclasses.replace(QUICK, lease_s=0.2, heartbeat_s=60.0, watch_s=60.0, reconcile_s=60.0)
    async with running(database_url, tmp_path / "1", {"wait": gate.wait}, slots=1, rules=asleep) as first:
        job = await submitted(first, waiting())
        await gate.until_started(1)
        async with running(database_url, tmp_path / "2", {"wait": gate.wait}, slots=1) as second:
            await gate.until_started(2)
            gate.open.set()
            finished = await ended(second, job)
            await gate.until_ended(2)
    assert (finished.state, finished.result) == ("completed", {"attempt": 2, "image_ids": []})


async def test_a_job_that_waited_too_long_fails(database_url: str, tmp_path: Path) -> None:
    async with running(database_url, tmp_path, slots=0) as lasting:
        job = await submitted(lasting, drawing())
        async with lasting.database.writing() as connection:
            await connection.execute(update(JobRow).values(expires_at_ms=0))
        late = await ended(lasting, job)
    assert (late.state, late.error_code) == ("failed", "expired")
