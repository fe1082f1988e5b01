"""A piece of work or a few in each turn of the event loop, however many want one.

In a turn the loop serves everybody who is ready before it looks who else has come. Two hundred requests that arrive
together would be one turn, and whoever asks next whether we live would wait for the end of it.
"""

import asyncio
from collections import deque
from collections.abc import Callable


class Turns:
    def __init__(self, together: int = 1) -> None:
        """So many in one turn: what is quickly done, and better done together."""
        self._together = together
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_taken = False

    def take(self, work: Callable[[], None]) -> None:
        """At once where nobody else has had this turn, otherwise in the order of coming."""
        self._waiting.append(work)
        if not self._is_taken:
            self._is_taken = True
            self._next()

    async def wait(self) -> None:
        """For a turn of one's own; there is none to wait for while nobody else wants one."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.take(lambda: None if mine.done() else mine.set_result(None))  # done already: whoever waited has left
        await mine

    def _next(self) -> None:
        self._is_taken = bool(self._waiting)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)  # before the work, which may raise
            for _ in range(min(self._together, len(self._waiting))):
                self._waiting.popleft()()
