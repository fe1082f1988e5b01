"""What is served, from the catalog, with what Triton says about it. Knows no HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelcore.contract import ServedModel
from orchestrator.triton import LoadedModel, Triton

_READY = "READY"


@dataclass(frozen=True)
class ServedNow:
    model: ServedModel
    versions: tuple[str, ...]  # those that are ready


class Models:
    def __init__(self, triton: Triton, catalog: Sequence[ServedModel], family: str, deadline_s: float) -> None:
        self._triton = triton
        self._catalog = catalog
        self.family = family
        self._deadline_s = deadline_s

    async def served(self) -> list[ServedNow]:
        loaded = await self._triton.index(deadline_s=self._deadline_s)
        return [ServedNow(model, _versions(model.name, loaded)) for model in self._catalog]


def _versions(name: str, loaded: Sequence[LoadedModel]) -> tuple[str, ...]:
    ready = (entry.version for entry in loaded if entry.name == name and entry.state == _READY)
    return tuple(sorted(ready, key=int))
