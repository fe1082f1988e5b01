"""How many pictures may be in work at once. Beyond it a request is refused at once, instead of waiting unseen."""

import threading

from modelcore.errors import Overloaded

RETRY_AFTER_S = 5


class Places:
    def __init__(self, limit: int, of: str = "pictures") -> None:
        self._limit = limit
        self._of = of
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        return self._taken

    def take(self, count: int) -> None:
        with self._lock:
            if self._taken + count > self._limit:
                raise Overloaded(
                    f"{self._taken} {self._of} are in work and there is room for {self._limit}, so {count} more are "
                    f"too many; ask again in about {RETRY_AFTER_S} s",
                    retry_after_s=RETRY_AFTER_S,
                )
            self._taken += count

    def give_back(self, count: int) -> None:
        with self._lock:
            self._taken -= count
