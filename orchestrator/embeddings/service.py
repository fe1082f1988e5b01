"""Embed texts and pictures: many inputs become few batched calls. Knows no HTTP."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelcore.catalog import CLIP_MAX_BATCH
from modelcore.errors import ModelUnavailable, NotFound, NotSupported, TriptychError
from orchestrator.embeddings.inputs import Input, PictureInput, TextInput
from orchestrator.errors import shortened
from orchestrator.tensors import Arrays, column_of_bytes
from orchestrator.triton import Triton

TEXT_MODEL = "clip_text_string"
PICTURE_MODEL = "clip_image_bytes"
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Embedded:
    vectors: Vectors  # (inputs, width)
    token_count: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Chunk:
    """Inputs of one kind that travel in one call, with their places in the request."""

    model: str
    tensor: str
    positions: tuple[int, ...]
    items: tuple[bytes, ...]


class Embeddings:
    def __init__(self, triton: Triton, family: str, deadline_s: float) -> None:
        self._triton = triton
        self._names = ("clip", family)
        self._deadline_s = deadline_s

    async def embed(self, inputs: Sequence[Input], model: str = "clip", dimensions: int | None = None) -> Embedded:
        if model not in self._names:
            names = ", ".join(self._names)
            raise NotFound(f"there is no model {shortened(model)!r} for embeddings; there are: {names}", field="model")
        chunks = _chunks(inputs)
        answers = await self._ask_all(chunks)
        embedded = _gather(len(inputs), chunks, answers)
        width = embedded.vectors.shape[1]
        if dimensions not in (None, width):
            raise NotSupported(f"dimensions must be {width}: {dimensions}", field="dimensions")
        return embedded

    async def _ask_all(self, chunks: Sequence[_Chunk]) -> list[Arrays]:
        """All chunks at once; the first failure stops the others."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(chunk)) for chunk in chunks]
        except* TriptychError as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _ask(self, chunk: _Chunk) -> Arrays:
        inputs = {chunk.tensor: column_of_bytes(list(chunk.items))}
        answer = await self._triton.infer(chunk.model, inputs, deadline_s=self._deadline_s)
        if not np.isfinite(answer["embedding"]).all():
            raise ModelUnavailable(chunk.model, f"the model {chunk.model} gives no usable numbers")
        return answer


def _chunks(inputs: Sequence[Input]) -> list[_Chunk]:
    texts = [(place, item.utf8) for place, item in enumerate(inputs) if isinstance(item, TextInput)]
    pictures = [(place, item.encoded) for place, item in enumerate(inputs) if isinstance(item, PictureInput)]
    return [
        *_cut(TEXT_MODEL, "text", texts),
        *_cut(PICTURE_MODEL, "image", pictures),
    ]


def _cut(model: str, tensor: str, placed: Sequence[tuple[int, bytes]]) -> list[_Chunk]:
    starts = range(0, len(placed), CLIP_MAX_BATCH)
    parts = [placed[start : start + CLIP_MAX_BATCH] for start in starts]
    return [_Chunk(model, tensor, tuple(place for place, _ in part), tuple(item for _, item in part)) for part in parts]


def _gather(count: int, chunks: Sequence[_Chunk], answers: Sequence[Arrays]) -> Embedded:
    width = answers[0]["embedding"].shape[1]
    vectors = np.empty((count, width), dtype=np.float32)
    token_count = 0
    warnings: dict[int, str] = {}
    for chunk, answer in zip(chunks, answers, strict=True):
        vectors[list(chunk.positions)] = answer["embedding"]
        if chunk.model == TEXT_MODEL:
            token_count += int(answer["token_count"].sum())
            warnings |= _cut_warnings(chunk, answer)
    return Embedded(vectors, token_count, tuple(text for _, text in sorted(warnings.items())))


def _cut_warnings(chunk: _Chunk, answer: Arrays) -> dict[int, str]:
    rows = zip(chunk.positions, answer["truncated"][:, 0], answer["token_count"][:, 0], strict=True)
    return {
        place: f"input[{place}] is longer than the model reads; it was cut at {count} tokens"
        for place, truncated, count in rows
        if truncated
    }
