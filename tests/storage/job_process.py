"""A process that does jobs until it is killed, by itself at a phase of a job's life if it is told one.

python -m tests.storage.job_process work   DATABASE FOLDER REDIS|- PHASE|-
python -m tests.storage.job_process submit DATABASE FOLDER REDIS|- PHASE|-    submits one job, and does none
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from orchestrator.jobs.idempotency import IdempotencyKey
from orchestrator.jobs.model import IsCancelled, Outcome, Phase, ReportProgress, Task
from orchestrator.lasting import Places, running_lasting
from tests.storage.jobs import QUICK, draw, drawing

KEY = IdempotencyKey("the only one", "0" * 64)
WORKING = "working"


def end_at_once() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(role: str, database_url: str, folder: str, redis_url: str, deadly_phase: str) -> None:
    def on_phase(phase: Phase) -> None:
        if phase.value == deadly_phase:
            end_at_once()

    async def work(task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
        outcome = await draw(task, report_progress, is_cancelled)
        if deadly_phase == WORKING:
            end_at_once()
        return outcome

    places = Places(database_url, Path(folder), redis_url=None if redis_url == "-" else redis_url)
    slots = 2 if role == "work" else 0
    async with running_lasting(places, {"draw": work}, slots, QUICK, on_phase) as lasting:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        if role == "submit":
            accepted = await lasting.jobs.submit(drawing(), KEY)
            sys.stdout.write(f"{accepted.job.id}\n")
            return
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
