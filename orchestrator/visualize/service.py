"""Pictures of what was found in a picture: all regions at once, and each alone. Drawn once. Knows no HTTP."""

import asyncio
from dataclasses import dataclass

from modelcore.errors import DeadlineExceeded
from modelcore.vision.masks import Polygon
from orchestrator.pictures.cache import CacheObserver, Results
from orchestrator.pictures.picture import Picture
from orchestrator.pictures.regions import FoundRegions
from orchestrator.pictures.understanding import Understanding
from orchestrator.visualize.drawing import Format, canvas

_MIB = 1024 * 1024
_RETRY_AFTER_S = 5


@dataclass(frozen=True)
class View:
    """How to draw: the longer side at most, for how many regions a picture of their own, and whether cut out too."""

    longest_px: int = 1024
    spotlights: int = 64
    cutouts: bool = False
    format: Format = "png"


@dataclass(frozen=True)
class Drawn:
    """Encoded; one spotlight, and one cut-out where asked for, for each of the first regions."""

    overlay: bytes
    spotlights: tuple[bytes, ...]
    cutouts: tuple[bytes, ...]


@dataclass(frozen=True)
class Spotlight:
    region_id: int
    top_class: str
    polygons: list[Polygon]
    image: bytes
    cutout: bytes | None


@dataclass(frozen=True)
class Visualized:
    total_regions: int
    overlay: bytes
    spotlights: list[Spotlight]
    warnings: tuple[str, ...] = ()


class Visualize:
    def __init__(
        self,
        understanding: Understanding,
        deadline_s: float = 60.0,
        limit_bytes: int = 128 * _MIB,
        observer: CacheObserver | None = None,
    ) -> None:
        self._understanding = understanding
        self._deadline_s = deadline_s
        self._drawn: Results[Drawn] = Results("drawings", limit_bytes, _size_bytes, observer)

    async def visualize(
        self, picture: Picture, view: View | None = None, *, labels: str | list[str] | None = None
    ) -> Visualized:
        view = view or View()
        about = self._understanding
        chosen = about.labels.chosen(labels)
        found = await about.regions.find(picture)
        drawn = await self._drawn.get((found.key, view), lambda: self._draw_in_time(picture, found, view))
        named = await about.region_concepts(picture, found, chosen, 1)
        classes = [best[0].label for best in named.concepts]
        return Visualized(len(found.regions), drawn.overlay, _spotlights(found, drawn, classes), named.warnings)

    async def _draw_in_time(self, picture: Picture, found: FoundRegions, view: View) -> Drawn:
        """What a thread has begun it ends; what none has begun by then is not drawn."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await _draw(picture, found, view)
        except TimeoutError:
            raise DeadlineExceeded("the picture could not be drawn in time", retry_after_s=_RETRY_AFTER_S) from None


async def _draw(picture: Picture, found: FoundRegions, view: View) -> Drawn:
    """Off the event loop; the encoder lets go of Python's lock, so several at once are worth it."""
    drawing = await asyncio.to_thread(canvas, picture, found, view.longest_px, view.format)
    shown = range(min(view.spotlights, len(found.regions)))
    overlay, spotlights, cutouts = await asyncio.gather(
        asyncio.to_thread(drawing.overlay),
        asyncio.gather(*(asyncio.to_thread(drawing.spotlight, number) for number in shown)),
        asyncio.gather(*(asyncio.to_thread(drawing.cutout, number) for number in shown if view.cutouts)),
    )
    return Drawn(overlay, tuple(spotlights), tuple(cutouts))


def _spotlights(found: FoundRegions, drawn: Drawn, classes: list[str]) -> list[Spotlight]:
    cutouts = drawn.cutouts or (None,) * len(drawn.spotlights)
    pictures = zip(drawn.spotlights, cutouts, strict=True)
    return [
        Spotlight(number, classes[number], found.regions[number].polygons, image, cut)
        for number, (image, cut) in enumerate(pictures)
    ]


def _size_bytes(drawn: Drawn) -> int:
    return sum(map(len, (drawn.overlay, *drawn.spotlights, *drawn.cutouts)))
