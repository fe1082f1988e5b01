"""Words, regions and vectors of one family brought together: what is in a picture, and what in each part of it.

The four services on top of this only differ in what they ask; whatever one has found out is there for the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelcore.family import Concepts
from modelcore.text.label_sets import LabelSet
from modelcore.vision.crops import CropRule
from modelcore.vision.scoring import confidences, cosines, strongest
from orchestrator.pictures.cache import CacheObserver
from orchestrator.pictures.clip import Clip, Vectors
from orchestrator.pictures.labels import EncodedLabels, Labels
from orchestrator.pictures.picture import Picture
from orchestrator.pictures.regions import FoundRegions, Regions
from orchestrator.pictures.vectors import PictureVectors
from orchestrator.together import both
from orchestrator.triton import Triton

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Concept:
    label: str
    confidence: float


@dataclass(frozen=True)
class Named:
    """For each picture, or each region, the best fitting labels, the surest first; and what of the labels was cut."""

    concepts: list[list[Concept]]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnderstandingRules:
    clip_deadline_s: float = 30.0
    segment_deadline_s: float = 120.0
    labels_limit_bytes: int = 32 * _MIB
    regions_limit_bytes: int = 128 * _MIB
    vectors_limit_bytes: int = 32 * _MIB


class Understanding:
    def __init__(
        self, triton: Triton, concepts: Concepts, rules: UnderstandingRules, observer: CacheObserver | None = None
    ) -> None:
        clip = Clip(triton, rules.clip_deadline_s, self._forget_vectors)
        crop_rule = CropRule(concepts.crop_padding, concepts.crop_background)
        self.labels = Labels(clip, concepts.labels, rules.labels_limit_bytes, observer)
        self.regions = Regions(triton, rules.segment_deadline_s, rules.regions_limit_bytes, observer)
        self.vectors = PictureVectors(clip, crop_rule, rules.vectors_limit_bytes, observer)

    async def concepts(self, picture: Picture, labels: LabelSet, count: int) -> Named:
        """Of the whole picture. Confidences are shares of the whole set."""
        words, whole = await both(self.labels.encoded(labels), self.vectors.whole(picture))
        return Named(_best(whole.vectors, words, count), words.warnings())

    async def region_concepts(self, picture: Picture, found: FoundRegions, labels: LabelSet, count: int) -> Named:
        """For each region, as `concepts`."""
        if not found.regions:
            return Named([])
        words, parts = await both(self.labels.encoded(labels), self.vectors.regions(picture, found))
        return Named(_best(parts, words, count), words.warnings())

    async def likeness(self, picture: Picture, word: EncodedLabels) -> float:
        """Cosine of the whole picture with a word, -1 to 1."""
        whole = await self.vectors.whole(picture)
        return float(cosines(whole.vectors, word.vectors)[0, 0])

    async def region_likeness(self, picture: Picture, found: FoundRegions, word: EncodedLabels) -> list[float]:
        if not found.regions:
            return []
        scores = cosines(await self.vectors.regions(picture, found), word.vectors)
        return [float(score) for score in scores[:, 0]]

    def _forget_vectors(self) -> None:
        """Regions may stay: they are another network's."""
        self.labels.cache.forget_all()
        self.vectors.cache.forget_all()


def _best(pictures: Vectors, words: EncodedLabels, count: int) -> list[list[Concept]]:
    shares = confidences(pictures, words.vectors, words.logit_scale)
    places = strongest(shares, count)
    return [_named(words.labels, row, chosen) for row, chosen in zip(np.asarray(shares), places.tolist(), strict=True)]


def _named(labels: Sequence[str], shares: Vectors, places: Sequence[int]) -> list[Concept]:
    return [Concept(labels[place], float(shares[place])) for place in places]
