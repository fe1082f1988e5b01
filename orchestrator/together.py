"""Several things at the same time: their results, or the first failure, which ends the others."""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from modelcore.errors import TriptychError

Result = TypeVar("Result")
Other = TypeVar("Other")


async def together(works: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    with _first_failure():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]


async def both(one: Coroutine[Any, Any, Result], other: Coroutine[Any, Any, Other]) -> tuple[Result, Other]:
    with _first_failure():
        async with asyncio.TaskGroup() as group:
            tasks = group.create_task(one), group.create_task(other)
    return tasks[0].result(), tasks[1].result()


@contextmanager
def _first_failure() -> Iterator[None]:
    """As if there had been one task: callers expect our errors, not groups of them."""
    try:
        yield
    except* TriptychError as failures:
        raise failures.exceptions[0] from None
