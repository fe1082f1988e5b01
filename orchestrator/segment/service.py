"""Regions of a picture, and what each of them is. Knows no HTTP."""

from dataclasses import dataclass

from modelcore.vision.masks import Region
from orchestrator.pictures.picture import Picture
from orchestrator.pictures.regions import EVERYTHING, Question
from orchestrator.pictures.understanding import Concept, Understanding


@dataclass(frozen=True)
class NamedRegion:
    region_id: int
    region: Region
    concepts: list[Concept]


@dataclass(frozen=True)
class Segmented:
    """In the order in which `segment` gives them; a region's id is its place in it."""

    regions: list[NamedRegion]
    warnings: tuple[str, ...] = ()


class Segment:
    def __init__(self, understanding: Understanding) -> None:
        self._understanding = understanding

    async def segment(
        self,
        picture: Picture,
        question: Question = EVERYTHING,
        *,
        labels: str | list[str] | None = None,
        top: int = 5,
    ) -> Segmented:
        about = self._understanding
        chosen = about.labels.chosen(labels)
        found = await about.regions.find(picture, question)
        named = await about.region_concepts(picture, found, chosen, top)
        told = zip(found.regions, named.concepts, strict=True)
        regions = [NamedRegion(number, region, best) for number, (region, best) in enumerate(told)]
        return Segmented(regions, named.warnings)
