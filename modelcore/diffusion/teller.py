"""One thread that tells listeners what has happened, in the order in which it was handed over.

So a listener needs no lock, and sending an answer never makes the engine wait.
"""

import logging
import queue
import threading
from collections.abc import Callable

Message = Callable[[], None]

_log = logging.getLogger(__name__)


class Teller:
    def __init__(self, name: str = "diffusion") -> None:
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"{name}-teller", daemon=True)
        self._thread.start()

    def tell(self, message: Message) -> None:
        self._messages.put(message)

    def close(self) -> None:
        """Returns when all that was handed over before has been told."""
        self._messages.put(None)
        self._thread.join()

    def _run(self) -> None:
        while self._tell_next():
            pass

    def _tell_next(self) -> bool:
        """A function of its own, so that nothing holds the last message's picture while we wait for the next."""
        message = self._messages.get()
        if message is None:
            return False
        try:
            message()
        except Exception:
            # The edge of the thread: one listener's fault must not silence the others.
            _log.exception("a listener failed while it was told something")
        return True
