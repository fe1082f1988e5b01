"""What is done about an ill model: kill what is left of its stub, load it again, at last restart Triton.

Knows the ladder and its pauses; does not know how illness is found.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog

from modelcore.errors import DeadlineExceeded, TriptychError

TRITON = "triton"
_log = structlog.stdlib.get_logger(__name__)


class Illness(StrEnum):
    DEAD = "has stopped"
    HUNG = "hangs"


class Loads(Protocol):
    async def load_again(self, model: str, *, deadline_s: float) -> None: ...


class Supervises(Protocol):
    async def kill_stub(self, model: str) -> None: ...

    async def restart(self) -> None: ...


@dataclass(frozen=True)
class RepairRules:
    load_deadline_s: float
    retry_pause_s: float
    restart_after: int
    restart_after_repairs: int
    restart_pause_s: float


class Repairs:
    """Not for concurrent use on one model: the watchdog finishes a round before it begins the next."""

    def __init__(
        self,
        triton: Loads,
        supervisor: Supervises | None,
        rules: RepairRules,
        count: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._triton = triton
        self._supervisor = supervisor
        self._rules = rules
        self._count = count
        self._clock = clock
        self._in_vain: Counter[str] = Counter()
        self._repairs_since_restart = 0
        self._not_before_s: dict[str, float] = {}

    async def treat(self, model: str, illness: Illness) -> None:
        """One rung of the ladder. Whether it helped is seen by the next probe."""
        if self._is_restart_due(model) and await self.restart():
            return
        if self._clock() < self._not_before_s.get(model, 0.0):
            return
        _log.warning("repairing a model", model=model, illness=illness)
        await self._kill_stub(model)
        await self._load(model)

    def recovered(self, model: str) -> None:
        if self._in_vain.pop(model, 0):
            _log.info("a model is well again", model=model)
        self._not_before_s.pop(model, None)

    def _is_restart_due(self, model: str) -> bool:
        """Repairs of this model help no more, or those of all models have leaked enough in Triton."""
        is_worn = self._repairs_since_restart >= self._rules.restart_after_repairs
        return is_worn or self._in_vain[model] >= self._rules.restart_after

    async def restart(self) -> bool:
        """Restart Triton, unless nobody can or the last restart is too recent."""
        now_s = self._clock()
        if self._supervisor is None or now_s < self._not_before_s.get(TRITON, 0.0):
            return False
        self._not_before_s[TRITON] = now_s + self._rules.restart_pause_s
        self._count(TRITON, "restart")
        _log.error("restarting Triton")
        self._in_vain.clear()
        self._repairs_since_restart = 0
        try:
            await self._supervisor.restart()
        except TriptychError as error:
            _log.error("Triton was not restarted", reason=error.detail)
            return False
        return True

    async def _kill_stub(self, model: str) -> None:
        """Even one that Triton calls dead may be a stopped process that holds its memory."""
        if self._supervisor is None:
            return
        self._count(model, "kill_stub")
        try:
            await self._supervisor.kill_stub(model)
        except TriptychError as error:
            _log.error("the stub was not killed", model=model, reason=error.detail)

    async def _load(self, model: str) -> None:
        self._count(model, "load")
        self._repairs_since_restart += 1
        try:
            await self._triton.load_again(model, deadline_s=self._rules.load_deadline_s)
        except DeadlineExceeded:
            _log.error("a model does not load in time", model=model)
        except TriptychError:
            # Its files are bad, or Triton is on its way down. A restart of everything would help neither.
            self._count(model, "load_refused")
            self._not_before_s[model] = self._clock() + self._rules.retry_pause_s
            _log.error("Triton refuses to load a model", model=model)
            return
        self._in_vain[model] += 1
