"""Every picture gets its embedding: at once, or when CLIP is back, or again when it is another CLIP."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
from sqlalchemy import select

from modelcore.errors import InvalidInput, ModelUnavailable
from orchestrator.gallery.embedding import EmbeddingUpkeep, embedded
from orchestrator.gallery.pictures import Embedding, Words
from orchestrator.gallery.service import Gallery
from orchestrator.storage.database import Database
from orchestrator.storage.objects import Objects
from orchestrator.storage.shelf import Shelf
from orchestrator.storage.tables import ImageRow
from tests.storage.pictures import picture, png

ME = "key:me"


class Clip:
    """Embeds a picture as the first bytes of its hash. `refused` is a picture that it cannot read."""

    def __init__(self) -> None:
        self.model = "clip"
        self.is_down = False
        self.refused = b""

    async def words(self, text: str) -> Words:
        return Words((await self.pictures([text.encode()]))[0])

    async def pictures(self, encoded: Sequence[bytes]) -> list[Embedding]:
        if self.is_down:
            raise ModelUnavailable("clip_image", "the model clip_image has stopped")
        if self.refused in encoded:
            raise InvalidInput("the picture is damaged")
        return [Embedding(vector_of(data), self.model) for data in encoded]


def vector_of(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.frombuffer(hashlib.sha256(data).digest()[:8], np.uint8).astype(np.float32) + 1


@pytest.fixture
def clip() -> Clip:
    return Clip()


@pytest.fixture
def gallery(database: Database, shelf: Shelf) -> Gallery:
    return Gallery(database, shelf)


@pytest.fixture
def upkeep(database: Database, shelf: Shelf, clip: Clip) -> EmbeddingUpkeep:
    return EmbeddingUpkeep(database, shelf, clip)


async def models(database: Database) -> list[str | None]:
    async with database.reading() as connection:
        return list(await connection.scalars(select(ImageRow.embedding_model).order_by(ImageRow.created_at_ms)))


async def test_the_embedding_is_of_the_very_bytes(clip: Clip) -> None:
    (found,) = await embedded(clip, [picture("red")])
    assert found.embedding is not None
    assert np.array_equal(found.embedding.vector, vector_of(png("red")))


async def test_a_picture_is_kept_without_one_while_clip_is_down(clip: Clip) -> None:
    clip.is_down = True
    assert await embedded(clip, [picture("red")]) == [picture("red")]


async def test_what_is_missing_is_made_once_clip_is_back(
    gallery: Gallery, upkeep: EmbeddingUpkeep, clip: Clip, database: Database
) -> None:
    await gallery.add(ME, [picture("red"), picture("blue")])
    clip.is_down = True
    with pytest.raises(ModelUnavailable):
        await upkeep.embed_some()
    clip.is_down = False
    assert [await upkeep.embed_some(), await upkeep.embed_some()] == [2, 0]
    assert await models(database) == ["clip", "clip"]


async def test_another_clip_embeds_everything_again(
    gallery: Gallery, upkeep: EmbeddingUpkeep, clip: Clip, database: Database
) -> None:
    await gallery.add(ME, await embedded(clip, [picture("red")]))
    assert await upkeep.embed_some() == 0
    clip.model = "another clip"
    assert await upkeep.embed_some() == 1
    assert await models(database) == ["another clip"]


async def test_what_cannot_be_read_or_embedded_keeps_nobody_waiting(
    gallery: Gallery, upkeep: EmbeddingUpkeep, clip: Clip, database: Database, objects: Objects
) -> None:
    lost, _, good = await gallery.add(ME, [picture("red"), picture("blue"), picture("green")])
    await objects.delete(lost.object_sha256)
    clip.refused = png("blue")
    assert [await upkeep.embed_some(), await upkeep.embed_some()] == [1, 0]
    async with database.reading() as connection:
        names = await connection.scalars(select(ImageRow.id).where(ImageRow.embedding.is_not(None)))
        assert list(names) == [good.id]
