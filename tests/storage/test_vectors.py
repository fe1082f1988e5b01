"""Nearest pictures: as exact as numpy's own sum, and never behind the rows."""

import numpy as np
import pytest
from numpy.typing import NDArray

from modelcore.errors import InvalidInput
from orchestrator.gallery.pictures import Embedding
from orchestrator.gallery.search import ImageFilter
from orchestrator.gallery.service import Gallery
from orchestrator.gallery.vectors import VectorIndexes
from orchestrator.storage.database import Database
from orchestrator.storage.shelf import Shelf
from tests.storage.pictures import picture

ME, OTHER = "key:me", "key:other"


@pytest.fixture
def gallery(database: Database, shelf: Shelf) -> Gallery:
    return Gallery(database, shelf)


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)


def embedding(vector: NDArray[np.float32], model: str = "clip") -> Embedding:
    return Embedding(vector, model)


async def add(gallery: Gallery, rows: NDArray[np.float32], owner: str = ME, prompt: str = "") -> list[str]:
    images = await gallery.add(owner, [picture("red", prompt=prompt, embedding=embedding(row)) for row in rows])
    return [image.id for image in images]


async def nearest(gallery: Gallery, query: NDArray[np.float32], limit: int = 20, **wanted: str) -> list[str]:
    matches = await gallery.nearest(ME, embedding(query), ImageFilter(**wanted), limit)  # type: ignore[arg-type]
    return [match.image.id for match in matches]


async def test_the_order_and_the_numbers_are_those_of_the_cosine(gallery: Gallery) -> None:
    rows, query = vectors(30), vectors(1, seed=1)[0]
    names = await add(gallery, rows)
    cosines = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    best = np.argsort(-cosines)[:10]
    matches = await gallery.nearest(ME, embedding(query), limit=10)
    assert [match.image.id for match in matches] == [names[place] for place in best]
    np.testing.assert_allclose([match.similarity for match in matches], cosines[best], atol=1e-6)


async def test_what_is_added_embedded_or_deleted_is_seen_by_the_next_search(gallery: Gallery) -> None:
    query = vectors(1)[0]
    first = await add(gallery, vectors(1))
    assert await nearest(gallery, query) == first
    plain = (await gallery.add(ME, [picture("blue")]))[0]
    second = await add(gallery, -vectors(1))
    assert await nearest(gallery, query) == [*first, *second]
    assert await gallery.set_embedding(ME, plain.id, embedding(query + vectors(1, seed=1)[0] / 100))
    assert await nearest(gallery, query) == [*first, plain.id, *second]
    await gallery.delete(ME, first[0])
    assert await nearest(gallery, query) == [plain.id, *second]


async def test_a_search_by_picture_leaves_the_picture_itself_out(gallery: Gallery) -> None:
    names = await add(gallery, vectors(5))
    matches = await gallery.similar_to(ME, names[2], limit=4)
    assert {match.image.id for match in matches} == {*names} - {names[2]}


async def test_only_the_callers_pictures_are_compared(gallery: Gallery) -> None:
    mine = await add(gallery, vectors(3))
    await add(gallery, vectors(3), owner=OTHER)
    assert sorted(await nearest(gallery, vectors(1)[0])) == sorted(mine)


async def test_filters_hold_for_similar_pictures_too(gallery: Gallery) -> None:
    red = await add(gallery, vectors(3), prompt="red circle")
    await add(gallery, vectors(3), prompt="blue square")
    assert sorted(await nearest(gallery, vectors(1)[0], words="circle")) == sorted(red)
    assert await nearest(gallery, vectors(1)[0], words="triangle") == []


async def test_embeddings_of_two_models_are_not_compared(gallery: Gallery) -> None:
    await add(gallery, vectors(2))
    assert await gallery.nearest(ME, embedding(vectors(1)[0], model="blip2")) == []


async def test_a_query_of_another_width_is_refused(gallery: Gallery) -> None:
    await add(gallery, vectors(2))
    with pytest.raises(InvalidInput, match="16 numbers: 3"):
        await gallery.nearest(ME, embedding(np.ones(3, np.float32)))


async def test_a_picture_without_an_embedding_cannot_be_compared(gallery: Gallery) -> None:
    plain = (await gallery.add(ME, [picture("blue")]))[0]
    with pytest.raises(InvalidInput, match="no embedding"):
        await gallery.similar_to(ME, plain.id)


async def test_an_embedding_is_set_once(gallery: Gallery) -> None:
    names = await add(gallery, vectors(1))
    assert not await gallery.set_embedding(ME, names[0], embedding(vectors(1, seed=2)[0]))


async def test_the_least_recently_used_index_is_dropped_when_memory_is_short(
    gallery: Gallery, database: Database
) -> None:
    await add(gallery, vectors(3))
    await add(gallery, vectors(3), owner=OTHER)
    indexes = VectorIndexes(max_vectors=4)
    async with database.reading() as connection:
        for owner in (ME, OTHER, ME):
            found = await indexes.nearest(connection, owner, embedding(vectors(1)[0]), 10)
            assert len(found) == 3
            assert sum(len(index) for index in indexes._indexes.values()) == 3
