"""How long looking at a picture may take: by a request, after painting, in a worker. All of it is a setting."""

import grpc
import pytest

from modelcore.errors import DeadlineExceeded
from orchestrator.jobs.model import Job, Progress, Task
from orchestrator.settings import Settings
from orchestrator.triton import Triton
from orchestrator.worker import handlers_on
from tests.service.conftest import FAMILIES, Serve
from tests.service.fake_triton import FakeTriton, hangs
from tests.service.test_picture_endpoints import FORM

JOB = Job("id", "key:me", "analyze", 0, {}, 1, "running", 1, 0, 0, None, 0, 1, None, None, None)
MODELS = [("segment", "segment_deadline_s"), ("clip_image_bytes", "clip_deadline_s")]


async def report_nothing(progress: Progress) -> None:
    """Nobody listens."""


@pytest.mark.parametrize(("model", "setting"), MODELS)
async def test_a_network_that_hangs_is_answered_503_at_its_deadline(
    serve: Serve, fake: FakeTriton, model: str, setting: str
) -> None:
    fake.scripts[model] = hangs
    async with serve(**{setting: 0.2}) as client:
        answer = await client.post("/analyze", files=FORM)
    assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")


@pytest.mark.parametrize(("model", "setting"), MODELS)
async def test_after_painting_nobody_waits_longer_than_that(
    serve: Serve, fake: FakeTriton, model: str, setting: str
) -> None:
    fake.scripts[model] = hangs
    async with serve(**{setting: 0.2}) as client:
        answer = await client.post("/generate", json={"prompt": "a"})
    assert answer.status_code == 200
    assert [warning for warning in answer.json()["warnings"] if "could not be analyzed" in warning]


@pytest.mark.parametrize(("model", "setting"), MODELS)
async def test_a_workers_deadlines_are_the_same_settings(fake: FakeTriton, model: str, setting: str) -> None:
    fake.scripts[model] = hangs
    settings = Settings(families_folder=FAMILIES, **{setting: 0.2})  # type: ignore[arg-type]
    async with grpc.aio.insecure_channel(fake.address) as channel:
        handler = handlers_on(Triton(channel, []), settings)["analyze"]
        with pytest.raises(DeadlineExceeded):
            await handler(Task(JOB, {"image": FORM["image"][1]}), report_nothing, lambda: False)


async def test_a_drawing_that_takes_too_long_is_answered_503(serve: Serve) -> None:
    async with serve(drawing_deadline_s=0.000_001) as client:
        answer = await client.post("/visualize", files=FORM)
    assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")
    assert int(answer.headers["Retry-After"]) >= 1
