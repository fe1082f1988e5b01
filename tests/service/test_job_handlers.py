"""What becomes of a job while Triton is down or slow, with the handlers of a worker and the contract in a hurry."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from modelcore.catalog import CATALOG
from orchestrator.job_routes.schemas import REQUEST_OF_KIND
from orchestrator.jobs.model import Job, Submission
from orchestrator.lasting import Lasting
from orchestrator.settings import Settings
from orchestrator.triton import Triton, open_channel
from orchestrator.worker import handlers_on
from tests.service.conftest import FAMILIES
from tests.service.fake_triton import FakeTriton, refuses
from tests.storage.jobs import ME, running
from tests.storage.servers import free_port

PAINTING = Submission(ME, "generate", {"prompt": "a"}, steps=20)
DOWN = refuses(grpc.StatusCode.UNAVAILABLE, "Socket closed")


@pytest.fixture
async def lasting(fake: FakeTriton, tmp_path: Path) -> AsyncIterator[Lasting]:
    settings = Settings(triton_address=fake.address, families_folder=FAMILIES)
    channel = open_channel(settings.triton_address, settings.triton_keepalive_s)
    handlers = handlers_on(Triton(channel, [model.name for model in CATALOG]), settings)
    async with running(f"sqlite:///{tmp_path}/triptych.db", tmp_path, handlers) as lasting:
        yield lasting
    await channel.close()


async def done(lasting: Lasting, submission: Submission) -> Job:
    job = (await lasting.jobs.submit(submission)).job
    return await lasting.jobs.wait(ME, job.id)


async def test_while_triton_is_down_a_job_is_tried_again(lasting: Lasting, fake: FakeTriton) -> None:
    async def down_once(context: grpc.aio.ServicerContext) -> None:
        del fake.scripts["demo"]
        await DOWN(context)

    fake.scripts["demo"] = down_once
    job = await done(lasting, PAINTING)
    assert (job.state, job.attempt) == ("completed", 2)


async def test_a_picture_that_nobody_could_look_at_is_not_painted_again(lasting: Lasting, fake: FakeTriton) -> None:
    fake.scripts["segment"] = DOWN
    job = await done(lasting, PAINTING)
    assert (job.state, job.attempt) == ("completed", 1)
    assert job.result is not None
    assert [warning for warning in job.result["warnings"] if "could not be analyzed" in warning]
    assert [image.id for image in (await lasting.gallery.page(ME)).images] == job.result["image_ids"]


async def test_a_triton_that_stays_down_fails_a_job_at_its_third_attempt(lasting: Lasting, fake: FakeTriton) -> None:
    fake.scripts["demo"] = DOWN
    job = await done(lasting, PAINTING)
    assert (job.state, job.attempt) == ("failed", 3)
    assert "Socket closed" not in str(job)


@pytest.mark.parametrize("is_up", [True, False])
async def test_triton_is_live_when_it_answers(fake: FakeTriton, is_up: bool) -> None:
    channel = open_channel(fake.address if is_up else f"127.0.0.1:{free_port()}", keepalive_s=310)
    assert await Triton(channel, []).is_live(deadline_s=10.0) is is_up
    await channel.close()


def test_there_is_a_handler_for_every_kind_that_is_taken_in(fake: FakeTriton) -> None:
    settings = Settings(families_folder=FAMILIES)
    assert set(handlers_on(Triton(grpc.aio.insecure_channel(fake.address), []), settings)) == set(REQUEST_OF_KIND)
