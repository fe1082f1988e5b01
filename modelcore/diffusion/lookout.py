"""Looks, every so often, at what cannot announce itself: whether who asked is still there, whether a thread stalls.

Asking Triton takes a fifth of a millisecond for each request: in a thread of its own no picture waits for that. Runs
only while there is somebody to look at.
"""

import logging
import threading
from collections.abc import Callable

# Triton itself needs 8 to 20 ms to know that a client has gone.
PERIOD_S = 0.02
Look = Callable[[], None]

_log = logging.getLogger(__name__)


class Lookout:
    def __init__(self, name: str = "diffusion") -> None:
        self._looks: list[Look] = []
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name=f"{name}-lookout", daemon=True)
        self._thread.start()

    def watch(self, look: Look) -> None:
        """Until `forget`. To be called from this one thread, again and again; must be quick."""
        with self._changed:
            self._looks.append(look)
            self._changed.notify()

    def forget(self, look: Look) -> None:
        """It may be called once more after this, if that has begun."""
        with self._changed:
            if look in self._looks:
                self._looks.remove(look)

    def close(self) -> None:
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._wait():
            self._look_around()

    def _look_around(self) -> None:
        """A function of its own, so that nothing holds the last one seen while we wait: Triton cannot unload a model
        while anybody holds one of its requests."""
        for look in tuple(self._looks):
            _safely(look)

    def _wait(self) -> bool:
        """For the next time, and for somebody to look at; False when it is time to go."""
        with self._changed:
            if not self._is_closing:
                self._changed.wait(PERIOD_S if self._looks else None)
            return not self._is_closing


def _safely(look: Look) -> None:
    try:
        look()
    except Exception:
        # The edge of the thread: there are others to look at.
        _log.exception("somebody could not be looked at")
