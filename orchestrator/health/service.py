"""Is the server fit for work? Compares what Triton serves with what the catalog says. Knows no HTTP."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from modelcore.contract import ServedModel
from modelcore.errors import TriptychError
from orchestrator.health.differences import differences
from orchestrator.triton import Triton


class Patients(Protocol):
    """Whoever knows which models are ill at the moment, and how; in practice the watchdog."""

    def ailments(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class ModelHealth:
    name: str
    problems: tuple[str, ...]

    @property
    def is_ready(self) -> bool:
        return not self.problems


class Health:
    def __init__(self, triton: Triton, catalog: Sequence[ServedModel], patients: Patients, deadline_s: float) -> None:
        self._triton = triton
        self._catalog = catalog
        self._patients = patients
        self._deadline_s = deadline_s
        self._round = asyncio.Lock()
        self._began_s = -math.inf
        self._found: list[ModelHealth] = []

    async def check(self) -> list[ModelHealth]:
        """Two calls for each model. However many ask at once, one round is under way, and one answers all who wait."""
        asked_s = time.monotonic()
        async with self._round:
            if self._began_s < asked_s:
                began_s = time.monotonic()
                self._found = list(await asyncio.gather(*map(self._check_model, self._catalog)))
                self._began_s = began_s
            return self._found

    async def _check_model(self, model: ServedModel) -> ModelHealth:
        ailment = self._patients.ailments().get(model.name)
        problems = (f"{model.name}: {ailment}",) if ailment else ()
        try:
            ready = await self._triton.is_model_ready(model.name, deadline_s=self._deadline_s)
            if not ready:
                return ModelHealth(model.name, (*problems, f"{model.name}: not ready"))
            live = await self._triton.model_config(model.name, deadline_s=self._deadline_s)
        except TriptychError as error:
            return ModelHealth(model.name, (*problems, f"{model.name}: {error.detail}"))
        return ModelHealth(model.name, (*problems, *differences(model, live)))
