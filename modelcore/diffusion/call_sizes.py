"""How many slots a call of the denoiser may have: enough to share it well, not so many that everybody waits for it.

Whoever comes waits for the call that is under way, and whoever leaves is noticed after it. So a call should not take
much longer than a second: on a GPU that is no limit worth the name, on a CPU with large pictures it is what counts.
"""

from collections.abc import Hashable
from typing import Protocol

LONGEST_CALL_S = 1.0
_MEMORY = 0.8  # of the pace so far, against that of the latest call


class CallSize(Protocol):
    def slots(self, group: Hashable) -> int:
        """At most so many in the group's next call; a row that alone needs more is called alone."""

    def took(self, group: Hashable, slots: int, seconds: float) -> None: ...


class FixedCallSize:
    """With 1, no two rows ever share a call."""

    def __init__(self, slots: int) -> None:
        self._slots = slots

    def slots(self, group: Hashable) -> int:
        return self._slots

    def took(self, group: Hashable, slots: int, seconds: float) -> None:
        pass


class TimedCallSize:
    """Measures while it serves: what a slot costs depends on the group's size, the machine and its load."""

    def __init__(self, slots: int, longest_call_s: float = LONGEST_CALL_S) -> None:
        self._slots = slots
        self._longest_call_s = longest_call_s
        self._seconds_per_slot: dict[Hashable, float] = {}

    def slots(self, group: Hashable) -> int:
        pace_s = self._seconds_per_slot.get(group)
        if not pace_s:
            return self._slots
        return max(1, min(self._slots, int(self._longest_call_s / pace_s)))

    def took(self, group: Hashable, slots: int, seconds: float) -> None:
        latest_s = seconds / slots
        earlier_s = self._seconds_per_slot.get(group, latest_s)
        self._seconds_per_slot[group] = _MEMORY * earlier_s + (1 - _MEMORY) * latest_s
