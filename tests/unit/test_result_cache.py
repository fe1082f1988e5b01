"""Results that are made once: for many at a time, as long as there is room, and never from a failure."""

import asyncio
from collections import Counter

import pytest

from modelcore.errors import Overloaded
from orchestrator.pictures.cache import Outcome, Results


class Kitchen:
    """Makes what it is asked for when it is let, and counts."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.let = asyncio.Event()
        self.cancelled = False

    async def make(self, dish: str) -> str:
        self.begun.append(dish)
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return dish


class Observer:
    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.held_bytes = 0

    def looked_up(self, cache: str, outcome: Outcome) -> None:
        self.outcomes[outcome] += 1

    def holds(self, cache: str, size_bytes: int) -> None:
        self.held_bytes = size_bytes


@pytest.fixture
def observer() -> Observer:
    return Observer()


@pytest.fixture
def results(observer: Observer) -> Results[str]:
    return Results("dishes", limit_bytes=10, size_of=len, observer=observer)


async def settled() -> None:
    """Every task that can run has run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def quick(value: str) -> str:
    return value


async def test_many_who_ask_at_once_share_one_making(results: Results[str], observer: Observer) -> None:
    kitchen = Kitchen()
    asking = [asyncio.create_task(results.get("soup", lambda: kitchen.make("soup"))) for _ in range(5)]
    await settled()
    kitchen.let.set()
    assert await asyncio.gather(*asking) == ["soup"] * 5
    assert kitchen.begun == ["soup"]
    assert observer.outcomes == {"miss": 1, "joined": 4}


async def test_what_is_kept_is_not_made_again(results: Results[str], observer: Observer) -> None:
    await results.get("a", lambda: quick("first"))
    assert await results.get("a", lambda: quick("second")) == "first"
    assert observer.outcomes == {"miss": 1, "hit": 1}


async def test_the_one_used_longest_ago_goes_first(results: Results[str], observer: Observer) -> None:
    for key in ("aaaa", "bbbb"):
        await results.get(key, lambda key=key: quick(key))  # type: ignore[misc]
    await results.get("aaaa", lambda: quick("made again"))
    await results.get("cccc", lambda: quick("cccc"))
    assert observer.held_bytes == 8
    assert await results.get("aaaa", lambda: quick("made again")) == "aaaa"
    assert await results.get("bbbb", lambda: quick("made again")) == "made again"


async def test_what_is_larger_than_all_the_room_is_given_but_not_kept(
    results: Results[str], observer: Observer
) -> None:
    assert await results.get("a", lambda: quick("x" * 11)) == "x" * 11
    assert await results.get("a", lambda: quick("small")) == "small"
    assert observer.held_bytes == 5


async def test_a_failure_is_told_to_all_who_wait_and_not_kept(results: Results[str]) -> None:
    kitchen = Kitchen()

    async def fail() -> str:
        await kitchen.let.wait()
        raise Overloaded("full")

    asking = [asyncio.create_task(results.get("a", fail)) for _ in range(2)]
    await settled()
    kitchen.let.set()
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(error) for error in told] == [Overloaded, Overloaded]
    assert await results.get("a", lambda: quick("good")) == "good"


async def test_a_caller_who_goes_away_leaves_the_work_to_the_others(results: Results[str]) -> None:
    kitchen = Kitchen()
    gone, stays = (asyncio.create_task(results.get("soup", lambda: kitchen.make("soup"))) for _ in range(2))
    await settled()
    gone.cancel()
    await settled()
    kitchen.let.set()
    assert await stays == "soup"
    assert kitchen.begun == ["soup"]


async def test_the_last_caller_who_goes_away_ends_the_work(results: Results[str]) -> None:
    kitchen = Kitchen()
    asking = asyncio.create_task(results.get("soup", lambda: kitchen.make("soup")))
    await settled()
    asking.cancel()
    await settled()
    assert kitchen.cancelled
    assert await results.get("soup", lambda: quick("new")) == "new"
