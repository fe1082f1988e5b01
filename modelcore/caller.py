"""Whether the process of a model that calls another one is still alive.

Triton does not tell the called model of its caller's death, and what is sent to a dead caller never returns. So callers
name themselves in a parameter of their request. Clients of Triton need none of this: it sees them leave.
"""

import json
import os
import select
import threading
from collections.abc import Mapping

_PARAMETER = "triptych_caller"


def named() -> Mapping[str, int]:
    """The parameters of a request that this process makes."""
    return {_PARAMETER: os.getpid()}


class Caller:
    """May be asked from one thread while another forgets it."""

    def __init__(self, parameters: str) -> None:
        """The request's own, as JSON."""
        pid = json.loads(parameters or "{}").get(_PARAMETER)
        self.is_named = isinstance(pid, int) and pid > 0
        self._is_gone = False
        self._file = -1
        self._lock = threading.Lock()
        if self.is_named:
            self._watch(pid)

    @property
    def is_dead(self) -> bool:
        """False for callers that have not named themselves."""
        with self._lock:
            if self._file >= 0 and not self._is_gone:
                ended = select.poll()
                ended.register(self._file, select.POLLIN)
                self._is_gone = bool(ended.poll(0))
            return self._is_gone

    def forget(self) -> None:
        """To be called once nothing more is told to it."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _watch(self, pid: int) -> None:
        # A file that can be read as soon as the process has ended, while its number may be another's by then.
        try:
            self._file = os.pidfd_open(pid)
        except (ProcessLookupError, OverflowError):
            self._is_gone = True  # or never was: parameters come from any client
        except OSError:
            # Forbidden in this container: then a caller's death is noticed by its not taking what it is told.
            self._file = -1
