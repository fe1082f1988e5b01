"""What followers of a job hear. Within a process at once and with previews; across processes by what is written down.

An event's id grows with the attempt and the step, so whoever lost the connection says the last id and goes on there.
A follower that is slow misses steps in between, never the end, and costs no memory.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from orchestrator.jobs.forecast import UNKNOWN, Outlook
from orchestrator.jobs.model import Job, Progress

_IDS_PER_ATTEMPT = 100_000
BEFORE_ALL = -1


@dataclass(frozen=True)
class JobEvent:
    id: int
    name: Literal["queued", "progress", "completed", "failed", "cancelled"]
    job: Job
    outlook: Outlook = UNKNOWN
    preview: bytes | None = None


def event_of(job: Job, preview: bytes | None = None) -> JobEvent:
    place = _IDS_PER_ATTEMPT - 1 if job.is_done else job.step
    name = "progress" if job.state == "running" else job.state
    return JobEvent(job.attempt * _IDS_PER_ATTEMPT + place, name, job, preview=preview)


@dataclass(frozen=True)
class LiveProgress:
    attempt: int
    progress: Progress


class Inbox:
    """Holds the latest step only, and whether the row has changed otherwise."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._latest: LiveProgress | None = None
        self._must_look = False

    def put(self, news: LiveProgress | None) -> None:
        if news is None:
            self._must_look = True
        else:
            self._latest = news
        self._changed.set()

    async def wait(self, timeout_s: float) -> LiveProgress | None:
        """The latest step since the last call; None when it is time to look at the row."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return None
        latest, self._latest = self._latest, None
        if latest is None:
            self._must_look = False
        if not self._must_look:
            self._changed.clear()
        return latest


class Hub:
    """Who in this process follows which job."""

    def __init__(self) -> None:
        self._inboxes: defaultdict[str, set[Inbox]] = defaultdict(set)

    def tell(self, job_id: str, news: LiveProgress | None = None) -> None:
        for inbox in self._inboxes.get(job_id, ()):
            inbox.put(news)

    @contextmanager
    def listening(self, job_id: str) -> Iterator[Inbox]:
        inbox = Inbox()
        self._inboxes[job_id].add(inbox)
        try:
            yield inbox
        finally:
            self._inboxes[job_id].discard(inbox)
            if not self._inboxes[job_id]:
                del self._inboxes[job_id]
