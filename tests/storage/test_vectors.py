"""Nearest pictures: as exact as numpy's own sum, never behind the rows, and page by page."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from modelcore.errors import InvalidInput, NotFound, Unavailable
from orchestrator.gallery import rows
from orchestrator.gallery.pictures import Embedding, Words
from orchestrator.gallery.search import ImageFilter
from orchestrator.gallery.service import Gallery
from orchestrator.gallery.similar import Similar
from orchestrator.gallery.vectors import VectorIndexes, Wanted
from orchestrator.storage.database import Database
from orchestrator.storage.shelf import Shelf
from tests.storage.pictures import picture

ME, OTHER = "key:me", "key:other"
Vector = NDArray[np.float32]


class Numbers:
    """An embedder for whom words are numbers: the places of a vector that are not nothing."""

    model = "clip"

    async def words(self, text: str) -> Words:
        return Words(embedding(np.array([float(word) for word in text.split()], np.float32), self.model))

    async def pictures(self, encoded: Sequence[bytes]) -> list[Embedding]:
        raise AssertionError("no search shows a picture to CLIP")


@pytest.fixture
def gallery(database: Database, shelf: Shelf) -> Gallery:
    return Gallery(database, shelf)


@pytest.fixture
def similar(database: Database) -> Similar:
    return Similar(database, Numbers())


def vectors(count: int, seed: int = 0) -> Vector:
    return np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)


def embedding(vector: Vector, model: str = "clip") -> Embedding:
    return Embedding(vector, model)


def said(vector: Vector) -> str:
    return " ".join(str(number) for number in vector.tolist())


async def add(gallery: Gallery, rows: Vector, owner: str = ME, prompt: str = "", model: str = "clip") -> list[str]:
    new = [picture("red", prompt=prompt, embedding=embedding(row, model)) for row in rows]
    return [image.id for image in await gallery.add(owner, new)]


async def nearest(similar: Similar, query: Vector, limit: int = 20, **wanted: str) -> list[str]:
    page = await similar.to_words(ME, said(query), ImageFilter(**wanted), limit=limit)  # type: ignore[arg-type]
    return [match.image.id for match in page.matches]


async def set_embedding(database: Database, image_id: str, given: Embedding) -> bool:
    async with database.writing() as connection:
        return await rows.set_embedding(connection, image_id, given)


async def test_the_order_and_the_numbers_are_those_of_the_cosine(gallery: Gallery, similar: Similar) -> None:
    rows, query = vectors(30), vectors(1, seed=1)[0]
    names = await add(gallery, rows)
    cosines = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    best = np.argsort(-cosines)[:10]
    page = await similar.to_words(ME, said(query), limit=10)
    assert [match.image.id for match in page.matches] == [names[place] for place in best]
    np.testing.assert_allclose([match.similarity for match in page.matches], cosines[best], atol=2e-6)


async def test_pages_hold_every_picture_once_while_others_come_and_go(gallery: Gallery, similar: Similar) -> None:
    query = vectors(1, seed=1)[0]
    names = await add(gallery, vectors(11))
    whole = await nearest(similar, query, limit=100)
    first = await similar.to_words(ME, said(query), limit=4)
    await add(gallery, query[None])  # as near as can be: it belongs before the first page
    await gallery.delete(ME, whole[1])
    second = await similar.to_words(ME, said(query), cursor=first.next_cursor, limit=4)
    third = await similar.to_words(ME, said(query), cursor=second.next_cursor, limit=4)
    pages = [[match.image.id for match in page.matches] for page in (first, second, third)]
    assert pages == [whole[:4], whole[4:8], whole[8:]]
    assert (set(whole), third.next_cursor) == (set(names), None)


async def test_equal_pictures_are_each_on_one_page(gallery: Gallery, similar: Similar) -> None:
    names = await add(gallery, np.repeat(vectors(1), 30, axis=0))
    seen: list[str] = []
    cursor = None
    while len(seen) < 30:
        page = await similar.to_words(ME, said(vectors(1, seed=1)[0]), cursor=cursor, limit=7)
        seen += [match.image.id for match in page.matches]
        cursor = page.next_cursor
    assert (sorted(seen), cursor) == (sorted(names), None)


async def test_pages_around_a_picture_leave_the_picture_out(gallery: Gallery, similar: Similar) -> None:
    names = await add(gallery, vectors(5))
    first = await similar.to_picture(ME, names[2], limit=2)
    second = await similar.to_picture(ME, names[2], cursor=first.next_cursor, limit=2)
    seen = [match.image.id for page in (first, second) for match in page.matches]
    assert sorted(seen) == sorted({*names} - {names[2]})
    assert second.next_cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "MTIz", "MTIzOjVlMGQ4ZjNjLTlhMTItNGY4YS1iMTI2LTdhMmI5ZTE0OWMzZA"])
async def test_a_cursor_of_another_kind_of_page_is_refused(similar: Similar, cursor: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await similar.to_words(ME, "1", cursor=cursor)
    assert refused.value.field == "cursor"


async def test_what_is_added_embedded_or_deleted_is_seen_by_the_next_search(
    gallery: Gallery, similar: Similar, database: Database
) -> None:
    query = vectors(1)[0]
    first = await add(gallery, vectors(1))
    assert await nearest(similar, query) == first
    plain = (await gallery.add(ME, [picture("blue")]))[0]
    second = await add(gallery, -vectors(1))
    assert await nearest(similar, query) == [*first, *second]
    assert await set_embedding(database, plain.id, embedding(query + vectors(1, seed=1)[0] / 100))
    assert await nearest(similar, query) == [*first, plain.id, *second]
    await gallery.delete(ME, first[0])
    assert await nearest(similar, query) == [plain.id, *second]


async def test_one_goes_and_one_comes_of_the_same_moment_and_the_index_sees_it(
    gallery: Gallery, similar: Similar, database: Database
) -> None:
    new = [picture("red", embedding=embedding(vectors(1)[0])), picture("blue")]
    both = await gallery.add(ME, new)
    async with database.writing() as connection:
        await connection.exec_driver_sql("UPDATE images SET created_at_ms = 1")
    assert await nearest(similar, vectors(1)[0]) == [both[0].id]
    await gallery.delete(ME, both[0].id)
    await set_embedding(database, both[1].id, embedding(vectors(1)[0]))
    assert await nearest(similar, vectors(1)[0]) == [both[1].id]


async def test_only_the_callers_pictures_are_compared(gallery: Gallery, similar: Similar) -> None:
    mine = await add(gallery, vectors(3))
    await add(gallery, vectors(3), owner=OTHER)
    assert sorted(await nearest(similar, vectors(1)[0])) == sorted(mine)


async def test_anothers_picture_is_no_question(gallery: Gallery, similar: Similar) -> None:
    theirs = await add(gallery, vectors(1), owner=OTHER)
    with pytest.raises(NotFound, match="there is no such picture"):
        await similar.to_picture(ME, theirs[0])


async def test_filters_hold_for_similar_pictures_too(gallery: Gallery, similar: Similar) -> None:
    red = await add(gallery, vectors(3), prompt="red circle")
    await add(gallery, vectors(3), prompt="blue square")
    assert sorted(await nearest(similar, vectors(1)[0], words="circle")) == sorted(red)
    assert await nearest(similar, vectors(1)[0], words="triangle") == []


async def test_embeddings_of_two_models_are_not_compared(gallery: Gallery, similar: Similar) -> None:
    await add(gallery, vectors(2), model="another clip")
    assert await nearest(similar, vectors(1)[0]) == []


async def test_a_query_of_another_width_is_refused(gallery: Gallery, similar: Similar) -> None:
    await add(gallery, vectors(2))
    with pytest.raises(InvalidInput, match="16 numbers: 3"):
        await similar.to_words(ME, "1 1 1")


async def test_a_picture_without_an_embedding_cannot_be_compared_yet(gallery: Gallery, similar: Similar) -> None:
    plain = (await gallery.add(ME, [picture("blue")]))[0]
    with pytest.raises(Unavailable, match="no embedding yet"):
        await similar.to_picture(ME, plain.id)


async def test_an_embedding_of_one_model_is_set_once_and_of_another_replaced(
    gallery: Gallery, similar: Similar, database: Database
) -> None:
    (name,) = await add(gallery, vectors(1), model="old")
    assert await set_embedding(database, name, embedding(vectors(1)[0]))
    assert not await set_embedding(database, name, embedding(-vectors(1)[0]))
    (match,) = (await similar.to_words(ME, said(vectors(1)[0]))).matches
    assert match.similarity == 1.0


async def test_the_least_recently_used_index_is_dropped_when_memory_is_short(
    gallery: Gallery, database: Database
) -> None:
    await add(gallery, vectors(3))
    await add(gallery, vectors(3), owner=OTHER)
    indexes = VectorIndexes(max_vectors=4)
    async with database.reading() as connection:
        for owner in (ME, OTHER, ME):
            found = await indexes.nearest(connection, owner, Wanted(embedding(vectors(1)[0]), 10))
            assert len(found) == 3
            assert sum(len(index) for index in indexes._indexes.values()) == 3
