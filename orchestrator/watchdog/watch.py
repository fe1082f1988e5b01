"""The rounds: probe everything, judge what failed, have it treated. Woken early when a live call finds a dead stub."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from modelcore.contract import ServedModel
from modelcore.errors import (
    DeadlineExceeded,
    ModelUnavailable,
    Overloaded,
    TriptychError,
    Unavailable,
)
from orchestrator.triton import ModelStatistics
from orchestrator.watchdog.probes import Failure, Serves, Walk, fresh_seeds, walk
from orchestrator.watchdog.repairs import Illness, Repairs
from orchestrator.watchdog.stalls import Stalls

_log = structlog.stdlib.get_logger(__name__)
_NOTHING_COUNTED = ModelStatistics(successes=0, slowest_batch_s=0.0)
# However many calls cry at once, and however long something stays ill.
_LEAST_PAUSE_S = 0.25


class Probed(Serves, Protocol):
    async def statistics(self, *, deadline_s: float) -> dict[str, ModelStatistics]: ...


@dataclass(frozen=True)
class WatchRules:
    interval_s: float
    probe_deadline_s: float
    statistics_deadline_s: float
    hung_after_s: float


class Watchdog:
    def __init__(
        self,
        triton: Probed,
        catalog: Sequence[ServedModel],
        repairs: Repairs,
        rules: WatchRules,
        clock: Callable[[], float] = time.monotonic,
        probes: Sequence[ServedModel] = (),
    ) -> None:
        """`probes` are walked as the catalog's ensembles are: ways through models that are part of none."""
        self._triton = triton
        self._ensembles = [*(model for model in catalog if model.steps), *probes]
        self._probed = {ensemble.name for ensemble in self._ensembles} | {
            step.model for ensemble in self._ensembles for step in ensemble.steps
        }
        self._repairs = repairs
        self._rules = rules
        self._clock = clock
        self._stalls = Stalls(rules.hung_after_s)
        self._silent_since_s: float | None = None
        self._reachable = True
        self._ailments: dict[str, str] = {}
        self._reported: set[str] = set()
        self._alarm = asyncio.Event()

    def ailments(self) -> dict[str, str]:
        """Which models are ill, and how, as of the last round."""
        return dict(self._ailments)

    def answered(self, model: str, seconds: float) -> None:
        """A live call went well: nothing to do."""

    def failed(self, model: str, error: TriptychError) -> None:
        """A live call failed. A dead stub brings the next round forward; the round's own probe decides."""
        if isinstance(error, ModelUnavailable):
            self._reported.add(error.model)
            self._alarm.set()

    async def run(self) -> None:
        while True:
            try:
                all_well = await self.round()
            except Exception:
                # The edge of this task: a watchdog that dies of a surprise guards nothing.
                _log.exception("a round of the watchdog failed")
                all_well = True
            await self._pause(all_well)

    async def round(self) -> bool:
        """Probe and repair once. True when nothing is ill."""
        started_s = self._clock()
        try:
            before = await self._statistics()
        except DeadlineExceeded:
            await self._meet_silence(started_s)
            return False
        except TriptychError:
            # Nobody listens: Triton is starting, or its supervisor is about to start it again.
            self._silent_since_s = None
            self._note_reachable(False)
            return True
        self._silent_since_s = None
        self._note_reachable(True)
        walks = await self._probe()
        failures = [walked.failure for walked in walks if walked.failure is not None]
        for model in {model for walked in walks for model in walked.passed}:
            self._stalls.forget(model)
            self._repairs.recovered(model)
        ill = await self._judge(failures, before, started_s)
        await asyncio.gather(*(self._treat(model, illness) for model, illness in ill.items()))
        return not failures

    def _note_reachable(self, reachable: bool) -> None:
        if reachable != self._reachable:
            _log.warning("Triton can be reached" if reachable else "Triton cannot be reached")
        self._reachable = reachable

    async def _statistics(self) -> dict[str, ModelStatistics]:
        return await self._triton.statistics(deadline_s=self._rules.statistics_deadline_s)

    async def _probe(self) -> list[Walk]:
        seeds = fresh_seeds()
        deadline_s = self._rules.probe_deadline_s
        walks = (walk(self._triton, ensemble, seeds, deadline_s) for ensemble in self._ensembles)
        return list(await asyncio.gather(*walks))

    async def _judge(
        self, failures: Iterable[Failure], before: dict[str, ModelStatistics], started_s: float
    ) -> dict[str, Illness]:
        """Who needs treatment. A model that is merely slow, or out of reach, does not."""
        # No probe reaches a model outside every ensemble, so a report about one is believed.
        ill = dict.fromkeys(self._reported - self._probed, Illness.DEAD)
        self._reported.clear()
        faulty: set[str] = set()
        for failure in failures:
            match failure.error:
                case ModelUnavailable():
                    ill[failure.model] = Illness.DEAD
                case DeadlineExceeded() | Overloaded():
                    if await self._is_hung(failure.model, before, started_s):
                        ill[failure.model] = Illness.HUNG
                case Unavailable():
                    pass
                case _:
                    faulty.add(failure.model)
                    _log.error("a model fails a probe", model=failure.model)
        self._ailments = {model: str(illness) for model, illness in ill.items()}
        self._ailments |= dict.fromkeys(faulty, "fails a probe")
        return ill

    async def _is_hung(self, model: str, before: dict[str, ModelStatistics], started_s: float) -> bool:
        try:
            after = await self._statistics()
        except TriptychError:
            return False  # the server itself is in trouble, which the next round meets first
        return self._stalls.is_hung(
            model,
            before.get(model, _NOTHING_COUNTED),
            after.get(model, _NOTHING_COUNTED),
            started_s=started_s,
            now_s=self._clock(),
        )

    async def _treat(self, model: str, illness: Illness) -> None:
        await self._repairs.treat(model, illness)
        self._stalls.forget(model)

    async def _meet_silence(self, started_s: float) -> None:
        """Triton takes our connection and says nothing at all."""
        if self._silent_since_s is None:
            self._silent_since_s = started_s
        elif self._clock() - self._silent_since_s >= self._rules.hung_after_s:
            await self._repairs.restart()

    async def _pause(self, all_well: bool) -> None:
        await asyncio.sleep(_LEAST_PAUSE_S)
        if all_well:
            try:
                async with asyncio.timeout(self._rules.interval_s):
                    await self._alarm.wait()
            except TimeoutError:
                return
        self._alarm.clear()
