"""Embeddings for the gallery, from what is known of pictures and words already: no picture is shown to CLIP twice."""

from collections.abc import Sequence

from orchestrator.gallery.pictures import Embedding, Words
from orchestrator.pictures.labels import Labels
from orchestrator.pictures.picture import accept_picture
from orchestrator.pictures.vectors import PictureVectors
from orchestrator.together import together


class ClipEmbedder:
    def __init__(self, labels: Labels, vectors: PictureVectors) -> None:
        self._labels = labels
        self._vectors = vectors

    async def words(self, text: str) -> Words:
        """As /probe understands them, so that a picture's likeness to them is the same number there."""
        encoded = await self._labels.encoded_word(text, field="text")
        return Words(Embedding(encoded.vectors[0], encoded.weights), encoded.warnings_of_word("text"))

    async def pictures(self, encoded: Sequence[bytes]) -> list[Embedding]:
        found = await together(self._vectors.whole(accept_picture(data)) for data in encoded)
        return [Embedding(each.vectors[0], each.weights) for each in found]
