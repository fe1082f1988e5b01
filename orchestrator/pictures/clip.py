"""Texts and encoded pictures to CLIP's vectors, a batch a call. Keeps nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelcore.catalog import CLIP_MAX_BATCH
from modelcore.errors import ModelUnavailable, TriptychError
from orchestrator.tensors import Arrays, column_of_bytes
from orchestrator.triton import Triton

_TEXT_MODEL = "clip_text_string"
_PICTURE_MODEL = "clip_image_bytes"
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class TextVectors:
    vectors: Vectors  # (texts, width)
    logit_scale: float


class Clip:
    def __init__(self, triton: Triton, deadline_s: float) -> None:
        self._triton = triton
        self._deadline_s = deadline_s

    async def texts(self, texts: Sequence[str]) -> TextVectors:
        answers = await self._ask_all(_TEXT_MODEL, "text", [text.encode() for text in texts])
        vectors = np.concatenate([answer["embedding"] for answer in answers])
        return TextVectors(vectors, float(answers[0]["logit_scale"][0, 0]))

    async def pictures(self, encoded: Sequence[bytes]) -> Vectors:
        answers = await self._ask_all(_PICTURE_MODEL, "image", encoded)
        return np.concatenate([answer["embedding"] for answer in answers])

    async def _ask_all(self, model: str, tensor: str, items: Sequence[bytes]) -> list[Arrays]:
        """As few calls as the model's batch allows, all at once; the first failure stops the others."""
        batches = [items[start : start + CLIP_MAX_BATCH] for start in range(0, len(items), CLIP_MAX_BATCH)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(model, tensor, batch)) for batch in batches]
        except* TriptychError as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _ask(self, model: str, tensor: str, items: Sequence[bytes]) -> Arrays:
        answer = await self._triton.infer(model, {tensor: column_of_bytes(list(items))}, deadline_s=self._deadline_s)
        if not np.isfinite(answer["embedding"]).all():
            raise ModelUnavailable(model, f"the model {model} gives no usable numbers")
        return answer
