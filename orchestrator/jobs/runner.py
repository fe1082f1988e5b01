"""Does claimed jobs, as many at a time as it has slots. Knows how to lose one: to its client, a clock, a shutdown."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Mapping

from sqlalchemy import select

from modelcore.errors import InternalFault, TriptychError, Unavailable
from orchestrator.context import RequestContext, current_request
from orchestrator.jobs import effects, leases
from orchestrator.jobs.events import Hub, LiveProgress
from orchestrator.jobs.model import (
    Claim,
    Handler,
    IsReady,
    JobRules,
    OnPhase,
    Outcome,
    Phase,
    Progress,
    Task,
    always_ready,
    no_phase_matters,
)
from orchestrator.storage.database import Database
from orchestrator.storage.shelf import Shelf
from orchestrator.storage.tables import JobInputRow

INTERNAL_DETAIL = "something went wrong on our side; the log has the story under the job's id"
STOP_GRACE_S = 10.0
# A finished job's effects are tried so often before its work counts as lost.
_EFFECT_TRIES = 5
_EFFECT_PAUSE_S = 1.0

log = logging.getLogger(__name__)


class Runner:
    def __init__(
        self,
        database: Database,
        shelf: Shelf,
        hub: Hub,
        handlers: Mapping[str, Handler],
        rules: JobRules,
        slots: int,
        on_phase: OnPhase = no_phase_matters,
        is_ready: IsReady = always_ready,
    ) -> None:
        self._database = database
        self._shelf = shelf
        self._hub = hub
        self._handlers = handlers
        self._rules = rules
        self._slots = slots
        self._free_slots = slots
        self._on_phase = on_phase
        self._is_ready = is_ready
        self._was_ready = True
        self._running: dict[str, _Running] = {}  # by lease token
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._is_stopping = False

    @property
    def free_slots(self) -> int:
        return 0 if self._is_stopping else self._free_slots

    async def drain(self) -> None:
        """Do jobs until none is left that this process can do. Returns at once when all its slots are taken."""
        if self.free_slots < 1:
            return
        self._free_slots -= 1
        self._is_idle.clear()
        try:
            while not self._is_stopping and (claim := await self._claim()) is not None:
                await self._run(claim)
        except Unavailable as error:
            log.warning("no job could be taken: %s", error.detail)
        finally:
            self._free_slots += 1
            if self._free_slots == self._slots:
                self._is_idle.set()

    def stop_job(self, job_id: str) -> None:
        """Its row has ended already; the work on it in this process ends at its next await."""
        for running in self._running.values():
            if running.claim.job.id == job_id:
                running.lose()

    async def keep_leases(self) -> None:
        """Renew every lease in time, and notice soon when one is lost. Runs until it is cancelled."""
        pauses = max(1, round(self._rules.heartbeat_s / self._rules.watch_s))
        while True:
            for pause in range(pauses):
                await asyncio.sleep(self._rules.watch_s)
                with contextlib.suppress(Unavailable):  # logged where it was raised; the next turn is soon
                    await self._check_leases(renew=pause == pauses - 1)

    async def stop(self) -> None:
        """End the work in hand and put its jobs back into the queue, for whoever comes next."""
        self._is_stopping = True
        for running in self._running.values():
            running.interrupt()
        try:
            async with asyncio.timeout(STOP_GRACE_S):
                await self._is_idle.wait()
        except TimeoutError:
            log.error("%d jobs did not end; their leases will", len(self._running))

    async def _claim(self) -> Claim | None:
        if not await self._may_begin():
            return None
        async with self._database.writing() as connection:
            claim = await leases.claim(connection, self._handlers.keys(), self._rules.lease_s)
        if claim is not None:
            self._on_phase(Phase.CLAIMED)
            self._hub.tell(claim.job.id)
        return claim

    async def _may_begin(self) -> bool:
        is_ready = await self._is_ready()
        if is_ready != self._was_ready:
            log.warning("jobs are begun again" if is_ready else "no job is begun: who does the work does not answer")
        self._was_ready = is_ready
        return is_ready

    async def _run(self, claim: Claim) -> None:
        running = _Running(claim)
        self._running[claim.token] = running
        if self._is_stopping:
            running.interrupt()
        try:
            await self._do(running)
        finally:
            del self._running[claim.token]
            self._hub.tell(claim.job.id)

    async def _do(self, running: "_Running") -> None:
        claim = running.claim
        try:
            outcome = await running.result_of(self._work(running))
            if outcome is not None:
                self._on_phase(Phase.WORKED)
                await self._complete(claim, outcome)
            elif not running.is_lost:
                await self._give_back(claim)
        except TriptychError as error:
            await self._record_failure(claim, error)
        except Exception:
            log.exception("job %s failed at attempt %d", claim.job.id, claim.job.attempt)
            await self._record_failure(claim, InternalFault(INTERNAL_DETAIL))

    async def _work(self, running: "_Running") -> Outcome:
        job = running.claim.job
        current_request.set(RequestContext(job.id))  # in a task of its own, so the log tells of this job under its id

        async def report_progress(progress: Progress) -> None:
            await self._report(running, progress)

        task = Task(job, await self._read_inputs(job.id))
        return await self._handlers[job.kind](task, report_progress, lambda: running.is_lost)

    async def _read_inputs(self, job_id: str) -> dict[str, bytes]:
        async with self._database.reading() as connection:
            named = select(JobInputRow.name, JobInputRow.sha256).where(JobInputRow.job_id == job_id)
            rows = (await connection.execute(named)).all()
        return {row.name: await self._shelf.read(row.sha256) for row in rows}

    async def _report(self, running: "_Running", progress: Progress) -> None:
        """Everybody in this process hears of each step; the row, which others read, of one a second."""
        claim = running.claim
        self._hub.tell(claim.job.id, LiveProgress(claim.job.attempt, progress))
        if not running.is_write_due(self._rules.progress_s):
            return
        with contextlib.suppress(Unavailable):
            async with self._database.writing() as connection:
                held = await leases.record_step(connection, claim, progress.step, progress.steps)
            if not held:
                running.lose()

    async def _complete(self, claim: Claim, outcome: Outcome) -> None:
        for tries_left in range(_EFFECT_TRIES - 1, -1, -1):
            try:
                done = await effects.complete(self._database, self._shelf, claim, outcome, self._on_phase)
            except Unavailable:
                if not tries_left:
                    raise
                await asyncio.sleep(_EFFECT_PAUSE_S)
            else:
                log.info("job %s %s", claim.job.id, "is completed" if done else "was no longer ours when it was done")
                return

    async def _record_failure(self, claim: Claim, error: TriptychError) -> None:
        """What may pass is tried again; what is wrong with the request stays wrong."""
        detail = INTERNAL_DETAIL if isinstance(error, InternalFault) else error.detail
        log.warning("job %s failed at attempt %d: %s", claim.job.id, claim.job.attempt, detail)
        may_pass = isinstance(error, Unavailable | InternalFault)
        with contextlib.suppress(Unavailable):  # then its lease runs out, which is an attempt as well
            async with self._database.writing() as connection:
                if may_pass:
                    pause_s = self._rules.retry_pause_s * 2 ** (claim.job.attempt - 1)
                    await leases.retry_or_fail(connection, claim, error.code, detail, pause_s)
                else:
                    await leases.fail(connection, claim, error.code, detail)

    async def _give_back(self, claim: Claim) -> None:
        with contextlib.suppress(Unavailable):
            async with self._database.writing() as connection:
                await leases.give_back(connection, claim)

    async def _check_leases(self, renew: bool) -> None:
        tokens = list(self._running)
        if not tokens:
            return
        if renew:
            async with self._database.writing() as connection:
                held = await leases.renew(connection, tokens, self._rules.lease_s)
        else:
            async with self._database.reading() as connection:
                held = await leases.still_held(connection, tokens)
        for token in tokens:
            if token not in held and token in self._running:
                self._running[token].lose()


class _Running:
    """One job in hand."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.is_lost = False
        self._is_interrupted = False
        self._task: asyncio.Task[Outcome] | None = None
        self._written_at = time.monotonic()

    async def result_of(self, work: Coroutine[None, None, Outcome]) -> Outcome | None:
        """None when it was interrupted. The work is a task of its own, so that interrupting it spares what follows."""
        self._task = asyncio.create_task(work)
        if self._is_interrupted:
            self._task.cancel()
        try:
            await asyncio.wait({self._task})
        finally:
            self._task.cancel()  # only where we ourselves are cancelled it is not done yet
        return None if self._task.cancelled() else self._task.result()

    def lose(self) -> None:
        self.is_lost = True
        self.interrupt()

    def interrupt(self) -> None:
        self._is_interrupted = True
        if self._task is not None:
            self._task.cancel()

    def is_write_due(self, every_s: float) -> bool:
        now = time.monotonic()
        if now - self._written_at < every_s:
            return False
        self._written_at = now
        return True
