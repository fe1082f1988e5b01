"""What was computed of a picture, kept by its key within a limit of bytes. Knows nothing of what it keeps.

Many may ask for the same key at once: one makes it, the others wait for that one.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


_Value = TypeVar("_Value", bound=Sized)


@dataclass(frozen=True)
class CacheCounts:
    hits: int  # those who waited for another's making count as hits: nothing was computed for them
    misses: int
    nbytes: int


class EmbeddingCache(Generic[_Value]):
    """The least recently used goes first. What is larger than the limit is made, handed out and not kept."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Value] = OrderedDict()
        self._in_making: dict[Hashable, Future[_Value]] = {}
        self._hits = self._misses = self._nbytes = 0

    def get(self, key: Hashable, make: Callable[[], _Value]) -> _Value:
        with self._lock:
            if key in self._kept:
                self._hits += 1
                self._kept.move_to_end(key)
                return self._kept[key]
            others = self._in_making.get(key)
            if others is None:
                self._misses += 1
                ours = self._in_making[key] = Future()
            else:
                self._hits += 1
        return others.result() if others is not None else self._make(key, make, ours)

    def counts(self) -> CacheCounts:
        with self._lock:
            return CacheCounts(self._hits, self._misses, self._nbytes)

    def _make(self, key: Hashable, make: Callable[[], _Value], future: "Future[_Value]") -> _Value:
        try:
            value = make()
        except BaseException as error:  # handed on to all who wait, whatever it is; the next one may try again
            with self._lock:
                del self._in_making[key]
            future.set_exception(error)
            raise
        with self._lock:
            del self._in_making[key]
            self._keep(key, value)
        future.set_result(value)
        return value

    def _keep(self, key: Hashable, value: _Value) -> None:
        if value.nbytes > self._limit_bytes:
            return
        self._kept[key] = value
        self._nbytes += value.nbytes
        while self._nbytes > self._limit_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._nbytes -= oldest.nbytes
