"""Texts and encoded pictures to CLIP's vectors, a batch a call. Keeps nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelcore.catalog import CLIP_MAX_BATCH
from modelcore.errors import ModelUnavailable
from orchestrator.tensors import Arrays, column_of_bytes
from orchestrator.together import together
from orchestrator.triton import Triton

_TEXT_MODEL = "clip_text_string"
_PICTURE_MODEL = "clip_image_bytes"
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class TextVectors:
    vectors: Vectors  # (texts, width)
    cut_at: NDArray[np.int64]  # (texts,): the tokens after which each was cut; 0 where all of it was read
    logit_scale: float
    weights: str  # which CLIP it was


@dataclass(frozen=True)
class ImageVectors:
    vectors: Vectors  # (pictures, width)
    weights: str


class Clip:
    def __init__(self, triton: Triton, deadline_s: float, on_other_weights: Callable[[], None] = lambda: None) -> None:
        """`on_other_weights` is called where another CLIP answers than before: what was known is of no use then."""
        self._triton = triton
        self._deadline_s = deadline_s
        self._on_other_weights = on_other_weights
        self._weights = ""

    async def texts(self, texts: Sequence[str]) -> TextVectors:
        answers = await self._ask_all(_TEXT_MODEL, "text", [text.encode() for text in texts])
        weights = self._weights_of(answers)
        vectors = np.concatenate([answer["embedding"] for answer in answers])
        cut_at = np.concatenate([_cut_at(answer) for answer in answers])
        return TextVectors(vectors, cut_at, float(answers[0]["logit_scale"][0, 0]), weights)

    async def pictures(self, encoded: Sequence[bytes]) -> ImageVectors:
        answers = await self._ask_all(_PICTURE_MODEL, "image", encoded)
        weights = self._weights_of(answers)
        return ImageVectors(np.concatenate([answer["embedding"] for answer in answers]), weights)

    async def _ask_all(self, model: str, tensor: str, items: Sequence[bytes]) -> list[Arrays]:
        """As few calls as the model's batch allows, all at once; the first failure stops the others."""
        batches = [items[start : start + CLIP_MAX_BATCH] for start in range(0, len(items), CLIP_MAX_BATCH)]
        return await together(self._ask(model, tensor, batch) for batch in batches)

    async def _ask(self, model: str, tensor: str, items: Sequence[bytes]) -> Arrays:
        answer = await self._triton.infer(model, {tensor: column_of_bytes(list(items))}, deadline_s=self._deadline_s)
        if not np.isfinite(answer["embedding"]).all():
            raise ModelUnavailable(model, f"the model {model} gives no usable numbers")
        return answer

    def _weights_of(self, answers: Sequence[Arrays]) -> str:
        """One CLIP may have taken another's place between two calls; their vectors mean nothing beside each other."""
        names = {bytes(name).decode() for answer in answers for name in answer["weights"][:, 0]}
        if len(names) > 1:
            raise ModelUnavailable(_PICTURE_MODEL, "CLIP is being replaced", retry_after_s=1)
        (weights,) = names
        if weights != self._weights:
            self._weights = weights
            self._on_other_weights()
        return weights


def _cut_at(answer: Arrays) -> NDArray[np.int64]:
    return np.where(answer["truncated"][:, 0], answer["token_count"][:, 0], 0).astype(np.int64)
