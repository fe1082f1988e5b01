"""Tells listeners what has happened, each in the order in which it was handed over.

One thread does it all, so that sending an answer never makes the engine wait. Triton's send may never return, though:
it does not where the process that asked was killed. Then that listener keeps the thread, with all that is still to be
told to it, and another thread takes over for everybody else.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable

Message = Callable[[], None]

TAKE_OVER_AFTER_S = 0.25

_log = logging.getLogger(__name__)


class Teller:
    def __init__(self, name: str = "diffusion", *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock_s = clock_s
        self._messages: queue.SimpleQueue[tuple[Hashable, Message] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._stalled: dict[Hashable, _Turn] = {}
        self._turn = self._take_over()

    def tell(self, listener: Hashable, message: Message) -> None:
        self._messages.put((listener, message))

    def stalled_s(self, listener: Hashable) -> float:
        """For how long this listener has not taken what it was told; 0 where nothing is wrong."""
        turn = self._stalled.get(listener)
        return 0.0 if turn is None else self._clock_s() - turn.since_s

    @property
    def stalled(self) -> int:
        """How many listeners keep a thread."""
        return len(self._stalled)

    def look(self) -> None:
        """To be called every so often: gives the others a new thread where a listener keeps the one they had."""
        with self._lock:
            turn = self._turn
            if turn.is_telling and self._clock_s() - turn.since_s > TAKE_OVER_AFTER_S:
                self._stalled[turn.listener] = turn
                self._turn = self._take_over()

    def close(self) -> None:
        """Returns when all that was handed over before has been told, but to those who do not take it."""
        self._messages.put(None)
        while (turn := self._turn).thread.is_alive():
            turn.thread.join(TAKE_OVER_AFTER_S)
            self.look()

    def _take_over(self) -> "_Turn":
        turn = _Turn()
        turn.thread = threading.Thread(target=self._run, args=(turn,), name=f"{self._name}-teller", daemon=True)
        turn.thread.start()
        return turn

    def _run(self, turn: "_Turn") -> None:
        while self._tell_next(turn):
            pass

    def _tell_next(self, turn: "_Turn") -> bool:
        """A function of its own, so that nothing holds the last message's picture while we wait for the next."""
        entry = self._messages.get()
        if entry is None:
            return False
        listener, message = entry
        if self._is_kept(listener, message):
            return True
        turn.begin(listener, self._clock_s())
        _say(message)
        return self._end(turn)

    def _is_kept(self, listener: Hashable, message: Message) -> bool:
        with self._lock:
            turn = self._stalled.get(listener)
            if turn is not None:
                turn.kept.append(message)
            return turn is not None

    def _end(self, turn: "_Turn") -> bool:
        """Whether this thread goes on; one that another has taken over from tells what it kept, and is done."""
        while True:
            with self._lock:
                is_taken_over = self._stalled.get(turn.listener) is turn
                if is_taken_over and turn.kept:
                    message = turn.kept.popleft()
                else:
                    if is_taken_over:
                        del self._stalled[turn.listener]
                    turn.end()
                    return not is_taken_over
            _say(message)


class _Turn:
    """A thread's, at the messages."""

    thread: threading.Thread

    def __init__(self) -> None:
        self.listener: Hashable = None
        self.since_s = 0.0
        self.is_telling = False
        self.kept: deque[Message] = deque()  # for this listener, since it has been found to stall

    def begin(self, listener: Hashable, now_s: float) -> None:
        self.listener, self.since_s = listener, now_s
        self.is_telling = True

    def end(self) -> None:
        self.listener, self.is_telling = None, False


def _say(message: Message) -> None:
    try:
        message()
    except Exception:
        # The edge of the thread: one listener's fault must not silence the others.
        _log.exception("a listener failed while it was told something")
