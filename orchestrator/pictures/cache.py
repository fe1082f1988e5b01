"""Results that are dear to make and never change: made once however many ask, kept while there is room.

Keys hold a hash of the whole input, so a result belongs to whoever has the input, and to no caller in particular.
Everything in here may be forgotten at any time.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

Outcome = Literal["hit", "joined", "miss"]
Value = TypeVar("Value")


class CacheObserver(Protocol):
    """Is told how every look-up went, and how much is kept."""

    def looked_up(self, cache: str, outcome: Outcome) -> None: ...

    def holds(self, cache: str, size_bytes: int) -> None: ...


@dataclass
class _Making(Generic[Value]):
    task: asyncio.Task[Value]
    waiting: int = 0


class Results(Generic[Value]):
    """One cache. `size_of` says what a value costs; the one that was used longest ago goes first."""

    def __init__(
        self, name: str, limit_bytes: int, size_of: Callable[[Value], int], observer: CacheObserver | None = None
    ) -> None:
        self._name = name
        self._limit_bytes = limit_bytes
        self._size_of = size_of
        self._observer = observer
        self._kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._making: dict[Hashable, _Making[Value]] = {}
        self._held_bytes = 0

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Value]]) -> Value:
        """Kept, or being made for somebody else, or made now. A failure is everybody's who waits, and is not kept."""
        if key in self._kept:
            self._count("hit")
            self._kept.move_to_end(key)
            return self._kept[key][0]
        making = self._making.get(key)
        self._count("miss" if making is None else "joined")
        if making is None:
            making = self._making[key] = _Making(asyncio.create_task(self._make(key, make)))
        return await self._wait(key, making)

    def forget_all(self) -> None:
        """What is being made is still answered, but to nobody who asks from now on."""
        self._kept.clear()
        self._making.clear()
        self._held_bytes = 0

    async def _wait(self, key: Hashable, making: _Making[Value]) -> Value:
        """A caller who goes away leaves the work to the others; the last one who goes ends it."""
        making.waiting += 1
        try:
            return await asyncio.shield(making.task)
        finally:
            making.waiting -= 1
            if making.waiting == 0 and not making.task.done():
                self._forget(key, making.task)
                making.task.cancel()

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[Value]]) -> Value:
        try:
            value = await make()
            self._keep(key, value)
            return value
        finally:
            self._forget(key, asyncio.current_task())

    def _forget(self, key: Hashable, task: asyncio.Task[Any] | None) -> None:
        """No longer in the making; unless it is made again already, for callers who came later."""
        if key in self._making and self._making[key].task is task:
            del self._making[key]

    def _keep(self, key: Hashable, value: Value) -> None:
        size_bytes = self._size_of(value)
        if size_bytes > self._limit_bytes:
            return
        self._kept[key] = (value, size_bytes)
        self._held_bytes += size_bytes
        while self._held_bytes > self._limit_bytes:
            _, (_, freed_bytes) = self._kept.popitem(last=False)
            self._held_bytes -= freed_bytes
        if self._observer:
            self._observer.holds(self._name, self._held_bytes)

    def _count(self, outcome: Outcome) -> None:
        if self._observer:
            self._observer.looked_up(self._name, outcome)
