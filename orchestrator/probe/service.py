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
    warnings: tuple[str, ...] = ()


class Probe:
    def __init__(self, understanding: Understanding) -> None:
        self._understanding = understanding

    def check(self, prompt: str, labels: str | list[str] | None) -> None:
        """What is known to be wrong before any work."""
        self._understanding.labels.check_word(prompt)
        self._understanding.labels.chosen(labels)

    async def probe(self, picture: Picture, prompt: str, *, labels: str | list[str] | None = None) -> Probed:
        about = self._understanding
        chosen = about.labels.chosen(labels)
        word = await about.labels.encoded_word(prompt)
        whole = await about.likeness(picture, word)
        found = await about.regions.find(picture)
        cosines = await about.region_likeness(picture, found, word)
        named = await about.region_concepts(picture, found, chosen, 1)
        regions = [
            RegionLikeness(number, best[0].label, cosine)
            for number, (best, cosine) in enumerate(zip(named.concepts, cosines, strict=True))
        ]
        return Probed(prompt, whole, regions, word.warnings_of_word("prompt") + named.warnings)
