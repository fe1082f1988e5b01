"""Pictures by meaning: most like one of the caller's own, or most like words. Knows no HTTP, and no Triton."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from sqlalchemy import select

from modelcore.errors import Unavailable
from orchestrator.gallery import rows
from orchestrator.gallery.pictures import Embedding, Image, Words
from orchestrator.gallery.search import ImageFilter, conditions
from orchestrator.gallery.service import EVERYTHING, check_limit, no_such_picture
from orchestrator.gallery.vectors import VectorIndexes, Wanted
from orchestrator.storage.cursors import read_score_cursor, write_score_cursor
from orchestrator.storage.database import Database
from orchestrator.storage.tables import ImageRow

WAITING = "this picture has no embedding yet; it will have one soon"


class Embedder(Protocol):
    """CLIP, as far as the gallery needs it."""

    async def words(self, text: str) -> Words: ...

    async def pictures(self, encoded: Sequence[bytes]) -> list[Embedding]: ...


@dataclass(frozen=True)
class Match:
    image: Image
    similarity: float  # cosine, -1 to 1


@dataclass(frozen=True)
class Matches:
    """A page, the most alike first."""

    matches: tuple[Match, ...]
    next_cursor: str | None
    warnings: tuple[str, ...] = ()


class Similar:
    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder
        self._indexes = VectorIndexes()

    async def to_picture(
        self, owner: str, image_id: str, wanted: ImageFilter = EVERYTHING, cursor: str | None = None, limit: int = 20
    ) -> Matches:
        """Without the picture itself."""
        query = await self._embedding_of(owner, image_id)
        return await self._page(owner, query, wanted, cursor, limit, without=image_id)

    async def to_words(
        self, owner: str, text: str, wanted: ImageFilter = EVERYTHING, cursor: str | None = None, limit: int = 20
    ) -> Matches:
        query = await self._embedder.words(text)
        page = await self._page(owner, query.embedding, wanted, cursor, limit)
        return replace(page, warnings=query.warnings)

    async def _page(
        self, owner: str, query: Embedding, filters: ImageFilter, cursor: str | None, limit: int, without: str = ""
    ) -> Matches:
        """One more than is shown tells whether there is more; one more than that may be the picture itself."""
        check_limit(limit)
        after = None if cursor is None else read_score_cursor(cursor)
        async with self._database.reading() as connection:
            among = None
            if filters != EVERYTHING:
                among = (await connection.scalars(select(ImageRow.id).where(*conditions(owner, filters)))).all()
            found = await self._indexes.nearest(connection, owner, Wanted(query, limit + 2, after, among))
            others = [pair for pair in found if pair[1] != without]
            shown = others[:limit]
            images = await rows.find_images(connection, owner, [image_id for _, image_id in shown])
        scores = {image_id: score for score, image_id in shown}
        cursor = write_score_cursor(*shown[-1]) if len(others) > limit else None
        return Matches(tuple(Match(image, scores[image.id]) for image in images), cursor)

    async def _embedding_of(self, owner: str, image_id: str) -> Embedding:
        where = (ImageRow.owner == owner, ImageRow.id == image_id)
        async with self._database.reading() as connection:
            statement = select(ImageRow.embedding, ImageRow.embedding_model).where(*where)
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise no_such_picture()
        if row.embedding is None:
            raise Unavailable(WAITING, field="similar_to", retry_after_s=30)
        return Embedding(np.frombuffer(row.embedding, dtype="<f4").astype(np.float32), row.embedding_model)
