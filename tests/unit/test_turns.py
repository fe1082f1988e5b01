"""A piece of work or a few in each turn of the event loop."""

import asyncio
import itertools
from typing import Any

from orchestrator.turns import Turns


async def done_after_each_turn(turns: Turns, *, crowd: int) -> list[list[int]]:
    """By whom, until the whole crowd has been served."""
    done: list[int] = []
    for number in range(crowd):
        turns.take(lambda number=number: done.append(number))  # type: ignore[misc]
    seen = [list(done)]
    while len(done) < crowd and len(seen) <= crowd:
        await asyncio.sleep(0)
        seen.append(list(done))
    return seen


async def test_who_comes_alone_does_not_wait() -> None:
    done: list[str] = []
    Turns().take(lambda: done.append("only"))
    assert done == ["only"]


async def test_a_crowd_has_one_turn_each_in_the_order_of_coming() -> None:
    assert await done_after_each_turn(Turns(), crowd=4) == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]


async def test_what_is_better_done_together_shares_a_turn() -> None:
    assert list(map(len, await done_after_each_turn(Turns(together=3), crowd=7))) == [1, 4, 7]


async def test_who_comes_after_a_crowd_does_not_wait() -> None:
    turns, done = Turns(), []
    turns.take(lambda: done.append("first"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    turns.take(lambda: done.append("second"))
    assert done == ["first", "second"]


async def test_work_that_fails_holds_up_nobody() -> None:
    turns, done, failures = Turns(), [], []  # type: ignore[var-annotated]
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context["exception"]))

    def fail() -> Any:
        raise ValueError

    for work in (lambda: None, fail, lambda: done.append("last")):
        turns.take(work)
    for _ in range(3):
        await asyncio.sleep(0)
    assert done == ["last"]
    assert [type(failure) for failure in failures] == [ValueError]


async def test_a_crowd_that_waits_is_let_through_one_by_one() -> None:
    turns, done = Turns(), []

    async def work(number: int) -> None:
        await turns.wait()
        done.append(number)

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(work(number)) for number in range(4)]
        seen = []
        while len(done) < len(waiting):
            await asyncio.sleep(0)
            seen.append(len(done))
    assert done == [0, 1, 2, 3]
    assert max(after - before for before, after in itertools.pairwise(seen)) == 1


async def test_who_no_longer_waits_is_passed_over() -> None:
    turns = Turns()
    turns.take(lambda: None)
    leaving, staying = asyncio.create_task(turns.wait()), asyncio.create_task(turns.wait())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait_for(staying, timeout=5)
