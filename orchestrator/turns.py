"""A little work in each turn of the event loop, however much there is of it.

In a turn the loop serves everybody who is ready before it looks who else has come. Two hundred requests that arrive
together would be one turn, and whoever asks next whether we live would wait for the end of it. But what comes together
should also stay together: Triton answers it together. So a turn is some milliseconds, not a single request.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

# Of reading. What the requests that were read then ask for comes on top, and takes two or three times as long.
TURN_S = 0.015


class Turns:
    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
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
            self._work_until(self._clock_s() + TURN_S)

    def _work_until(self, end_s: float) -> None:
        while self._waiting:
            self._waiting.popleft()()
            if self._clock_s() > end_s:
                return
