"""Whose turn it is: which members of which group go into the next call. Knows slots and seconds, nothing of pictures.

Members of one group can share a call, members of two cannot. Each group has a clock that runs by the seconds its calls
took, divided by its members, and the group whose clock is furthest behind goes next (start-time fair queueing). So
every member gets the same share of the machine, and a picture whose calls take long delays the small ones by one call
at a time, not by all of its own.
"""

from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Member(Protocol):
    group: Hashable

    @property
    def slots(self) -> int: ...


MemberType = TypeVar("MemberType", bound=Member)


class Turns(Generic[MemberType]):
    def __init__(self) -> None:
        self._queues: dict[Hashable, list[MemberType]] = {}
        self._clocks: dict[Hashable, float] = {}
        self._now = 0.0  # the clock of the group that was served last, when it was served

    def join(self, member: MemberType) -> None:
        """Behind the others of its group: whoever stepped longest ago stands in front."""
        if member.group not in self._queues:
            # Having been away earns no credit.
            self._clocks[member.group] = max(self._now, self._clocks.get(member.group, 0.0))
        self._queues.setdefault(member.group, []).append(member)

    def leave(self, member: MemberType) -> None:
        queue = self._queues[member.group]
        queue.remove(member)
        if not queue:
            del self._queues[member.group]

    def next(self, slots_of_call: Callable[[Hashable], int]) -> list[MemberType]:
        """Who shares the next call; they go to the back of their queue. Empty only if there is nobody."""
        if not self._queues:
            return []
        group = min(self._queues, key=self._clocks.__getitem__)
        self._now = self._clocks[group]
        chosen = _fitting(self._queues[group], slots_of_call(group))
        self._queues[group] = [member for member in self._queues[group] if member not in chosen] + chosen
        return chosen

    def charge(self, group: Hashable, seconds: float) -> None:
        """That is what the call of `next` took."""
        self._clocks[group] += seconds / max(1, len(self._queues.get(group, ())))
        if not self._queues:
            # Nobody is left to be fair to.
            self._now = max(self._clocks.values())
        gone = [name for name, clock in self._clocks.items() if name not in self._queues and clock <= self._now]
        for name in gone:
            del self._clocks[name]


def _fitting(queue: list[MemberType], slots: int) -> list[MemberType]:
    """The first, and who fits beside it; whoever is too wide lets others pass, and stands in front next time."""
    chosen: list[MemberType] = []
    for member in queue:
        if member.slots <= slots or not chosen:
            chosen.append(member)
            slots -= member.slots
    return chosen
