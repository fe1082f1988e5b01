"""What is served, from the catalog, with what Triton says about it. Knows no HTTP."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from modelcore.contract import ServedModel
from modelcore.errors import NotFound
from orchestrator.errors import shortened
from orchestrator.triton import LoadedModel, Triton

_READY = "READY"
_CLIP = "clip_text_string"  # which /v1/embeddings calls `clip`


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
        self.since_s = int(time.time())

    async def names(self) -> list[str]:
        """What a request may name as its `model`, as far as it answers now: the family, and its CLIP."""
        ready = {served.model.name for served in await self.served() if served.versions}
        return [name for name, model in ((self.family, self.family), ("clip", _CLIP)) if model in ready]

    async def named(self, name: str) -> str:
        names = await self.names()
        if name not in names:
            raise NotFound(f"there is no model {shortened(name)!r}; there are: {', '.join(names)}", field="model")
        return name

    async def served(self) -> list[ServedNow]:
        loaded = await self._triton.index(deadline_s=self._deadline_s)
        return [ServedNow(model, _versions(model.name, loaded)) for model in self._catalog]


def _versions(name: str, loaded: Sequence[LoadedModel]) -> tuple[str, ...]:
    ready = (entry.version for entry in loaded if entry.name == name and entry.state == _READY)
    return tuple(sorted(ready, key=int))
