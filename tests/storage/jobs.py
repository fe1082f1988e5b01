"""Handlers that do something small and visible, and a process full of everything that lasts."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from modelcore.errors import InvalidInput, Unavailable
from orchestrator.jobs.model import (
    Handler,
    IsCancelled,
    IsReady,
    JobRules,
    Outcome,
    Progress,
    ReportProgress,
    Submission,
    Task,
    always_ready,
)
from orchestrator.lasting import Lasting, Places, running_lasting
from orchestrator.storage.objects import sha256_of
from tests.storage.pictures import picture

ME, OTHER = "key:me", "key:other"
# The contract's proportions, in a hurry.
QUICK = JobRules(
    lease_s=2.0,
    heartbeat_s=0.4,
    watch_s=0.05,
    retry_pause_s=0.05,
    reconcile_s=0.1,
    progress_s=0.0,
    poll_s=0.5,
)


async def draw(task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
    """One picture of the colour asked for, after as many steps as the job has."""
    for step in range(1, task.job.steps + 1):
        await report_progress(Progress(step, task.job.steps, preview=b"step %d" % step))
    colour = task.job.request["colour"]
    inputs = {name: sha256_of(data) for name, data in task.inputs.items()}
    return Outcome((picture(colour, prompt=colour),), {"inputs": inputs})


async def refuse(task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
    raise InvalidInput("the colour must be one that can be seen", field="colour")


async def stumble(task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
    """Good at the attempt that its request says."""
    if task.job.attempt < task.job.request["good_at"]:
        raise Unavailable("the model is being loaded")
    return Outcome(answer={"attempt": task.job.attempt})


async def crash(task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
    raise ZeroDivisionError("a secret of ours")


class Gate:
    """Jobs of kind `wait` wait here until somebody opens it; `started` tells which have come so far."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.started: list[str] = []
        self.ended: list[str] = []
        self._changed = asyncio.Condition()

    async def wait(self, task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
        await self._note(self.started, task.job.id)
        try:
            await self.open.wait()
            return Outcome(answer={"attempt": task.job.attempt})
        finally:
            await self._note(self.ended, task.job.id)

    async def until_started(self, count: int) -> None:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: len(self.started) >= count)

    async def until_ended(self, count: int) -> None:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: len(self.ended) >= count)

    async def _note(self, where: list[str], job_id: str) -> None:
        async with self._changed:
            where.append(job_id)
            self._changed.notify_all()


HANDLERS: Mapping[str, Handler] = {"draw": draw, "refuse": refuse, "stumble": stumble, "crash": crash}


def drawing(colour: str = "red", owner: str = ME, steps: int = 3, **known: Any) -> Submission:
    return Submission(owner, "draw", {"colour": colour}, steps=steps, **known)


def waiting(owner: str = ME, **known: Any) -> Submission:
    return Submission(owner, "wait", {}, **known)


@asynccontextmanager
async def running(
    database_url: str,
    folder: Path,
    handlers: Mapping[str, Handler] = HANDLERS,
    slots: int = 4,
    rules: JobRules = QUICK,
    redis_url: str | None = None,
    is_ready: IsReady = always_ready,
) -> AsyncIterator[Lasting]:
    places = Places(database_url, folder / "objects", redis_url=redis_url)
    async with running_lasting(places, handlers, slots, rules, is_ready=is_ready) as lasting:
        yield lasting
