"""Embeddings for the gallery, from what is known of pictures and words already: no picture is shown to CLIP twice."""

import asyncio
from collections.abc import Sequence

from orchestrator.gallery.pictures import Embedding
from orchestrator.pictures.labels import Labels
from orchestrator.pictures.picture import accept_picture
from orchestrator.pictures.vectors import PictureVectors


class ClipEmbedder:
    def __init__(self, labels: Labels, vectors: PictureVectors) -> None:
        self._labels = labels
        self._vectors = vectors

    async def words(self, text: str) -> Embedding:
        """As /probe understands them, so that a picture's likeness to them is the same number there."""
        encoded = await self._labels.encoded_word(text, field="text")
        return Embedding(encoded.vectors[0], encoded.weights)

    async def pictures(self, encoded: Sequence[bytes]) -> list[Embedding]:
        found = await asyncio.gather(*(self._vectors.whole(accept_picture(data)) for data in encoded))
        return [Embedding(each.vectors[0], each.weights) for each in found]
