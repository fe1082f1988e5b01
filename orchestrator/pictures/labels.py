"""Label sets as CLIP understands them: each encoded once, then only looked up. Knows no picture."""

from dataclasses import dataclass

import numpy as np

from modelcore.text.label_sets import LabelSet, label_set, own_label_set, prompts_of_word
from modelcore.text.limits import TextLimits, check_text
from modelcore.vision.scoring import one_per_label
from orchestrator.pictures.cache import CacheObserver, Results
from orchestrator.pictures.clip import Clip, Vectors

_LIMITS = TextLimits()


@dataclass(frozen=True)
class EncodedLabels:
    labels: tuple[str, ...]
    vectors: Vectors  # (labels, width), unit length
    cut_at: tuple[int, ...]  # for each label: as `TextVectors` has it
    logit_scale: float
    weights: str

    @property
    def size_bytes(self) -> int:
        return self.vectors.nbytes + sum(map(len, self.labels))

    def warnings(self) -> tuple[str, ...]:
        """What of the labels of a request was not read."""
        cut = ((place, tokens) for place, tokens in enumerate(self.cut_at) if tokens)
        return tuple(_warning(f"labels[{place}]", tokens) for place, tokens in cut)

    def warnings_of_word(self, field: str) -> tuple[str, ...]:
        """The same of the one word that they are, which a request calls so."""
        return tuple(_warning(field, tokens) for tokens in self.cut_at if tokens)


class Labels:
    """Of one family: another one's CLIP gives other vectors for the same words."""

    def __init__(self, clip: Clip, default: str, limit_bytes: int, observer: CacheObserver | None = None) -> None:
        self._clip = clip
        self._default = label_set(default)
        self.cache: Results[EncodedLabels] = Results("labels", limit_bytes, _size_bytes, observer)

    def chosen(self, wanted: str | list[str] | None) -> LabelSet:
        """A known set by its name, a list of the caller's own, or the family's."""
        if wanted is None:
            return self._default
        if isinstance(wanted, str):
            return label_set(wanted)
        return own_label_set(wanted, self._default.templates)

    async def encoded(self, labels: LabelSet) -> EncodedLabels:
        return await self._prompted(labels.labels, labels.prompts())

    async def encoded_word(self, word: str, field: str = "prompt") -> EncodedLabels:
        """One word or sentence, as a label of its own."""
        self.check_word(word, field)
        return await self._prompted((word,), prompts_of_word(word, self._default))

    def check_word(self, word: str, field: str = "prompt") -> None:
        check_text(word, _LIMITS, field)

    async def _prompted(self, labels: tuple[str, ...], prompts: list[str]) -> EncodedLabels:
        return await self.cache.get((labels, tuple(prompts)), lambda: self._encode(labels, prompts))

    async def _encode(self, labels: tuple[str, ...], prompts: list[str]) -> EncodedLabels:
        texts = await self._clip.texts(prompts)
        vectors = one_per_label(texts.vectors, len(labels)).astype(np.float32)
        cut_at = texts.cut_at.reshape(len(labels), -1).max(axis=1)  # of a label's sentences the longest
        return EncodedLabels(labels, vectors, tuple(cut_at.tolist()), texts.logit_scale, texts.weights)


def _warning(field: str, tokens: int) -> str:
    return f"{field}: a text encoder reads at most {tokens} tokens; it did not read all of it"


def _size_bytes(encoded: EncodedLabels) -> int:
    return encoded.size_bytes
