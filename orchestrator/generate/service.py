"""Pictures for somebody who waits: painted, kept, and looked at. Knows no HTTP."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from orchestrator.analyze.service import Analysis
from orchestrator.gallery.pictures import Image, KeptPicture
from orchestrator.gallery.service import Gallery
from orchestrator.generate.estimate import Estimator
from orchestrator.generate.order import Order
from orchestrator.generate.painter import Painted, Painter, Step, warnings_of
from orchestrator.keys.quota import Quota
from orchestrator.together import both

Result = TypeVar("Result")


@dataclass(frozen=True)
class Generated:
    """What was kept, in the order of the request's pictures; the first one was looked at."""

    images: Sequence[Image]
    pictures: Sequence[bytes]  # the encoded files
    analysis: Analysis
    warnings: Sequence[str]
    timings_ms: Mapping[str, float]


# Called in the transaction that adds the pictures: what it writes is there with them, or neither is.
OnAdding = Callable[[AsyncConnection, Generated], Awaitable[None]]


async def nothing_more(connection: AsyncConnection, generated: Generated) -> None:
    """To be written beside the pictures."""


class Generate:
    def __init__(self, painter: Painter, gallery: Gallery, estimator: Estimator, quota: Quota) -> None:
        self._painter = painter
        self._gallery = gallery
        self._estimator = estimator
        self._quota = quota

    def check_model(self, name: str | None) -> None:
        self._painter.check(name)

    async def events(
        self, owner: str, order: Order, on_adding: OnAdding = nothing_more
    ) -> AsyncGenerator[Step | Generated, None]:
        """Every step as it is taken, then what came of it. Closing it early stops the painting within a step."""
        self._painter.check(None, order.labels)
        making = self._made(owner, order, on_adding)
        async with self._quota.spending(owner, lambda: self._cost(order)), aclosing(making) as events:
            async for event in events:
                yield event

    async def _cost(self, order: Order) -> int:
        return (await self._estimator.estimate(order)).cost

    async def _made(self, owner: str, order: Order, on_adding: OnAdding) -> AsyncGenerator[Step | Generated, None]:
        clock = Clock()
        async with aclosing(self._painter.paint(order)) as painting:
            async for event in painting:
                if isinstance(event, Step):
                    yield event
                else:
                    painted = event
        clock.stop("paint")
        keeping = self._keep(order, painted)
        looking = self._painter.look(order, painted)
        kept, look = await both(clock.timed("store", keeping), clock.timed("analyze", looking))
        warnings = [*warnings_of(painted), *look.warnings]
        async with self._gallery.adding(owner, kept) as (connection, images):
            pictures = [each.image for each in painted]
            generated = Generated(images, pictures, look.analysis, warnings, clock.timings_ms())
            await on_adding(connection, generated)
        yield generated

    async def _keep(self, order: Order, painted: Sequence[Painted]) -> list[KeptPicture]:
        """Bytes go to the disk while CLIP is at work."""
        pictures = self._painter.described(order, painted)
        kept, embedded = await both(self._gallery.keep(pictures), self._painter.embedded(pictures))
        return [replace(one, new=new) for one, new in zip(kept, embedded, strict=True)]


class Clock:
    """How long each part took: from one stop to the next, or by itself where it goes on beside others."""

    def __init__(self) -> None:
        self._started_s = self._last_s = time.monotonic()
        self._parts: dict[str, float] = {}

    def stop(self, part: str) -> None:
        now_s = time.monotonic()
        self._parts[part] = _ms(now_s - self._last_s)
        self._last_s = now_s

    async def timed(self, part: str, work: Awaitable[Result]) -> Result:
        started_s = time.monotonic()
        result = await work
        self._parts[part] = _ms(time.monotonic() - started_s)
        return result

    def timings_ms(self) -> dict[str, float]:
        return self._parts | {"total": _ms(time.monotonic() - self._started_s)}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
