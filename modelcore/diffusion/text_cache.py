"""Encoded texts that were asked for before: the newest, up to so many bytes. Knows nothing of them but their size."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

DEFAULT_BYTES = 64 * 1024 * 1024


class Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Kept = TypeVar("Kept", bound=Sized)


class TextCache(Generic[Kept]):
    """May be used from several threads. Two that miss the same key at once both make it, and neither waits."""

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self.hits = 0
        self.misses = 0
        self.nbytes = 0
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self.hits += 1
                self._kept.move_to_end(key)
                return known
            self.misses += 1
        made = make()
        with self._lock:
            self._keep(key, made)
        return made

    def _keep(self, key: Hashable, made: Kept) -> None:
        if key in self._kept or made.nbytes > self._max_bytes:
            return
        self._kept[key] = made
        self.nbytes += made.nbytes
        while self.nbytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self.nbytes -= oldest.nbytes
