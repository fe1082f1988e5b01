"""What a picture shows as a whole, and which regions it has. Knows no HTTP."""

from dataclasses import dataclass

from modelcore.vision.masks import Region
from orchestrator.pictures.picture import Picture
from orchestrator.pictures.understanding import Concept, Understanding
from orchestrator.together import both


@dataclass(frozen=True)
class Analysis:
    concepts: list[Concept]
    regions: tuple[Region, ...]
    warnings: tuple[str, ...] = ()


class Analyze:
    def __init__(self, understanding: Understanding) -> None:
        self._understanding = understanding

    def check_labels(self, labels: str | list[str] | None) -> None:
        """For who has long work to do before it comes to this."""
        self._understanding.labels.chosen(labels)

    async def analyze(
        self, picture: Picture, *, labels: str | list[str] | None = None, top: int = 5, segment: bool = True
    ) -> Analysis:
        chosen = self._understanding.labels.chosen(labels)
        naming = self._understanding.concepts(picture, chosen, top)
        if not segment:
            named = await naming
            return Analysis(named.concepts[0], (), named.warnings)
        named, found = await both(naming, self._understanding.regions.find(picture))
        return Analysis(named.concepts[0], found.regions, named.warnings)
