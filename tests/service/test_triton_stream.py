"""Streams of decoupled models: order, errors with a status, and cancelling."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest

from modelcore.errors import Overloaded
from orchestrator.tensors import Arrays
from orchestrator.triton import Triton, open_channel
from tests.service.fake_triton import FakeTriton, hangs, refuses

FOREVER = 1_000_000


@pytest.fixture
async def triton(fake: FakeTriton) -> AsyncIterator[Triton]:
    async with open_channel(fake.address, keepalive_s=310) as channel:
        yield Triton(channel, models=())


def count_to(number: int) -> Arrays:
    return {"count": np.array([number], np.int64)}


async def test_answers_come_in_order_and_end_with_the_final_one(triton: Triton) -> None:
    async with triton.stream("counter", count_to(3), deadline_s=5) as answers:
        numbers = [int(answer["number"][0]) async for answer in answers]
    assert numbers == [0, 1, 2]


async def test_leaving_early_cancels_upstream(triton: Triton, fake: FakeTriton) -> None:
    async with triton.stream("counter", count_to(FOREVER), deadline_s=5) as answers:
        await anext(answers)
    await asyncio.wait_for(fake.stream_ended.wait(), timeout=5)


async def test_a_stream_that_has_said_all_is_not_cancelled(triton: Triton, fake: FakeTriton) -> None:
    """Triton 2.51 may keep one that is, with the picture that was sent to it."""
    fake.may_end.clear()

    async def consume() -> list[int]:
        async with triton.stream("counter", count_to(3), deadline_s=5) as answers:
            return [int(answer["number"][0]) async for answer in answers]

    task = asyncio.create_task(consume())
    await fake.streamed.wait()
    for _ in range(5):  # round trips: for the last answer to be read, and a cancellation to arrive
        await triton.is_live(deadline_s=5)
    fake.may_end.set()
    assert await task == [0, 1, 2]
    assert fake.cancelled_streams == 0


async def test_a_cancelled_task_cancels_upstream(triton: Triton, fake: FakeTriton) -> None:
    fake.scripts["counter"] = hangs
    waiting = asyncio.Event()

    async def consume() -> None:
        async with triton.stream("counter", count_to(1), deadline_s=5) as answers:
            waiting.set()
            await anext(answers)

    task = asyncio.create_task(consume())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_in_a_stream_is_a_domain_error(triton: Triton, fake: FakeTriton) -> None:
    fake.scripts["counter"] = refuses(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    async with triton.stream("counter", count_to(1), deadline_s=5) as answers:
        with pytest.raises(Overloaded):
            await anext(answers)


async def test_no_stream_asks_for_the_errors_that_end_triton(triton: Triton, fake: FakeTriton) -> None:
    async with triton.stream("counter", count_to(1), deadline_s=5) as answers:
        await anext(answers)
    assert "triton_grpc_error" not in fake.metadata[-1]
