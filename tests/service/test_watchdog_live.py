"""The watchdog inside the running app: who wakes it, and that service comes back."""

import asyncio

import grpc

from tests.service.conftest import Serve
from tests.service.fake_triton import FakeTriton, hangs, refuses

DEAD = refuses(grpc.StatusCode.INTERNAL, "Stub process 'clip_text_0_0' is not healthy.")
NEVER_BY_ITSELF = {"watchdog_interval_s": 3600.0}


async def loaded(fake: FakeTriton) -> str:
    return await asyncio.wait_for(fake.loads.get(), timeout=10)


async def first_round(fake: FakeTriton) -> None:
    await asyncio.wait_for(fake.probed.wait(), timeout=10)


async def test_a_stub_that_dies_unseen_is_found_by_a_probe(serve: Serve, fake: FakeTriton) -> None:
    fake.scripts["clip_text"] = DEAD
    async with serve(watchdog_interval_s=0.1):
        assert await loaded(fake) == "clip_text"


async def test_a_live_call_that_meets_a_dead_stub_wakes_the_watchdog(serve: Serve, fake: FakeTriton) -> None:
    async with serve(**NEVER_BY_ITSELF) as client:
        await first_round(fake)
        fake.scripts |= {"clip_text": DEAD, "clip_text_string": DEAD}
        answer = await client.post("/v1/embeddings", json={"input": "a"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert await loaded(fake) == "clip_text"


async def test_many_live_calls_that_meet_a_dead_stub_cause_one_repair(serve: Serve, fake: FakeTriton) -> None:
    async with serve(**NEVER_BY_ITSELF) as client:
        await first_round(fake)
        fake.scripts |= {"clip_text": DEAD, "clip_text_string": DEAD}
        await asyncio.gather(*(client.post("/v1/embeddings", json={"input": "a"}) for _ in range(50)))
        assert await loaded(fake) == "clip_text"
        fake.probed.clear()
        await client.post("/v1/embeddings", json={"input": "a"})
        await first_round(fake)
    assert fake.loads.empty()


async def test_a_hung_stub_is_loaded_again(serve: Serve, fake: FakeTriton) -> None:
    fake.scripts["clip_image"] = hangs
    async with serve(watchdog_probe_deadline_s=0.1, watchdog_hung_after_s=0.2):
        assert await loaded(fake) == "clip_image"


async def test_an_ill_model_is_not_ready(serve: Serve, fake: FakeTriton) -> None:
    fake.scripts["clip_text"] = refuses(grpc.StatusCode.INTERNAL, "some bug")
    async with serve() as client, asyncio.timeout(10):
        while (answer := await client.get("/health/ready")).status_code == 200:
            """The first round is not over."""
    assert answer.json()["detail"] == "not ready: clip_text: fails a probe"


async def test_probes_are_not_counted_as_traffic(serve: Serve, fake: FakeTriton) -> None:
    async with serve(**NEVER_BY_ITSELF) as client:
        await first_round(fake)
        metrics = (await client.get("/metrics")).text
    assert "triptych_upstream_call_duration_seconds_count{" not in metrics
