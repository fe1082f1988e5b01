"""Streams of decoupled models: order, errors with a status, and cancelling."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress

import grpc
import numpy as np
import pytest

from modelcore.errors import InvalidInput, Overloaded
from orchestrator.tensors import Arrays
from orchestrator.triton import Triton, open_channel
from tests.service.fake_triton import FakeTriton, hangs, refuses

FOREVER = 1_000_000
TOO_MANY_STEPS = 10**9


@pytest.fixture
async def triton(fake: FakeTriton) -> AsyncIterator[Triton]:
    async with open_channel(fake.address, keepalive_s=310) as channel:
        yield Triton(channel, models=())


def numbers(**wish: int) -> Arrays:
    return {name: np.array([number], np.int64) for name, number in wish.items()}


async def test_answers_come_in_order_and_end_with_the_final_one(triton: Triton) -> None:
    async with triton.stream("counter", numbers(count=3), deadline_s=5) as answers:
        counted = [int(answer["number"][0]) async for answer in answers]
    assert counted == [0, 1, 2]


async def test_leaving_early_cancels_upstream(triton: Triton, fake: FakeTriton) -> None:
    async with triton.stream("counter", numbers(count=FOREVER), deadline_s=5) as answers:
        await anext(answers)
    await asyncio.wait_for(fake.stream_ended.wait(), timeout=5)


@pytest.mark.parametrize(("model", "wish"), [("counter", {"count": 3}), ("demo", {"steps": TOO_MANY_STEPS})])
async def test_a_stream_that_has_said_all_is_not_cancelled(
    triton: Triton, fake: FakeTriton, model: str, wish: dict[str, int]
) -> None:
    """Triton 2.51 may keep one that is, with the picture that was sent to it."""
    fake.may_end.clear()

    async def consume() -> None:
        with suppress(InvalidInput):
            async with triton.stream(model, numbers(**wish), deadline_s=5) as answers:
                async for _ in answers:
                    pass

    task = asyncio.create_task(consume())
    await fake.said_all.wait()
    for _ in range(5):  # round trips: for the last answer to be read, and a cancellation to arrive
        await triton.is_live(deadline_s=5)
    fake.may_end.set()
    await task
    assert fake.cancelled_streams == 0


@pytest.fixture
def endless(fake: FakeTriton, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that have said all stay open, for longer than anybody waits for their end."""
    monkeypatch.setattr("orchestrator.triton._LAST_WORD_S", 0.05)
    fake.may_end.clear()


@pytest.mark.usefixtures("endless")
async def test_answers_stand_though_their_stream_does_not_end(triton: Triton) -> None:
    async with triton.stream("counter", numbers(count=3), deadline_s=5) as answers:
        counted = [int(answer["number"][0]) async for answer in answers]
    assert counted == [0, 1, 2]


@pytest.mark.usefixtures("endless")
async def test_a_refusal_stands_though_its_stream_does_not_end(triton: Triton) -> None:
    async with triton.stream("demo", numbers(steps=TOO_MANY_STEPS), deadline_s=5) as answers:
        with pytest.raises(InvalidInput, match="steps must be between"):
            await anext(answers)


async def test_nothing_keeps_the_arrays_of_a_refused_request(triton: Triton) -> None:
    wish = numbers(steps=TOO_MANY_STEPS)
    sent = weakref.ref(wish["steps"])
    gc.disable()  # which undoes circles, some day
    try:
        await _refused(triton, wish)
        del wish
        assert sent() is None
    finally:
        gc.enable()


async def _refused(triton: Triton, wish: Arrays) -> None:
    with pytest.raises(InvalidInput):
        async with triton.stream("demo", wish, deadline_s=5) as answers:
            await anext(answers)


async def test_a_cancelled_task_cancels_upstream(triton: Triton, fake: FakeTriton) -> None:
    fake.scripts["counter"] = hangs
    waiting = asyncio.Event()

    async def consume() -> None:
        async with triton.stream("counter", numbers(count=1), deadline_s=5) as answers:
            waiting.set()
            await anext(answers)

    task = asyncio.create_task(consume())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_in_a_stream_is_a_domain_error(triton: Triton, fake: FakeTriton) -> None:
    fake.scripts["counter"] = refuses(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    async with triton.stream("counter", numbers(count=1), deadline_s=5) as answers:
        with pytest.raises(Overloaded):
            await anext(answers)


async def test_no_stream_asks_for_the_errors_that_end_triton(triton: Triton, fake: FakeTriton) -> None:
    async with triton.stream("counter", numbers(count=1), deadline_s=5) as answers:
        await anext(answers)
    assert "triton_grpc_error" not in fake.metadata[-1]
