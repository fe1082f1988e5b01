"""How well one word or sentence fits a picture, and each region of it. Knows no HTTP."""

from dataclasses import dataclass

from orchestrator.pictures.picture import Picture
from orchestrator.pictures.understanding import Understanding


@dataclass(frozen=True)
class RegionLikeness:
    region_id: int
    class_label: str
    cosine: float


@dataclass(frozen=True)
class Probed:
    prompt: str
    cosine: float  # of the whole picture
    regions: list[RegionLikeness]  # by region id


class Probe:
    def __init__(self, understanding: Understanding) -> None:
        self._understanding = understanding

    async def probe(self, picture: Picture, prompt: str, *, labels: str | list[str] | None = None) -> Probed:
        about = self._understanding
        chosen = about.labels.chosen(labels)
        word = await about.labels.encoded_word(prompt)
        whole = await about.likeness(picture, word)
        found = await about.regions.find(picture)
        cosines = await about.region_likeness(picture, found, word)
        concepts = await about.region_concepts(picture, found, chosen, 1)
        regions = [
            RegionLikeness(number, best[0].label, cosine)
            for number, (best, cosine) in enumerate(zip(concepts, cosines, strict=True))
        ]
        return Probed(prompt, whole, regions)
