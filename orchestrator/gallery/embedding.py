"""Every picture gets an embedding: as it is kept where CLIP answers in time, and otherwise later. Knows no Triton."""

import asyncio
import dataclasses
import logging
import secrets
import time
from collections.abc import Sequence

from modelcore.errors import TriptychError, Unavailable
from orchestrator.gallery import rows
from orchestrator.gallery.pictures import NewPicture
from orchestrator.gallery.similar import Embedder
from orchestrator.storage.database import Database
from orchestrator.storage.shelf import Shelf

PATIENCE_S = 5.0  # a hung CLIP must not keep a finished picture from whoever waits for it
EVERY_S = 30.0
_AT_ONCE = 16
_PUT_OFF_S = 3600.0

log = logging.getLogger(__name__)


async def embedded(embedder: Embedder, pictures: Sequence[NewPicture]) -> list[NewPicture]:
    """The same pictures with their embeddings; without them where CLIP is down: keeping them matters more."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            found = await embedder.pictures([picture.data for picture in pictures])
    except (TriptychError, TimeoutError) as error:
        log.warning("%d pictures are kept without embeddings for now: %r", len(pictures), error)
        return list(pictures)
    pairs = zip(pictures, found, strict=True)
    return [dataclasses.replace(picture, embedding=embedding) for picture, embedding in pairs]


class EmbeddingUpkeep:
    """Embeds what has none: kept while CLIP was down, or embedded by another CLIP than the one that answers now."""

    def __init__(self, database: Database, shelf: Shelf, embedder: Embedder) -> None:
        self._database = database
        self._shelf = shelf
        self._embedder = embedder
        self._put_off: dict[str, float] = {}  # bytes that cannot be read or that CLIP refuses, and until when

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                while await self.embed_some():
                    pass
            except Unavailable as error:
                log.warning("missing embeddings wait: %s", error.detail)
            except Exception:  # the edge of a loop that must go on
                log.exception("making missing embeddings failed")

    async def embed_some(self) -> int:
        """How many pictures have got theirs."""
        # Words that no cache on the way can know: an old answer would tell of an old CLIP.
        model = (await self._embedder.words(secrets.token_hex(8))).embedding.model
        now_s = time.monotonic()
        self._put_off = {name: until_s for name, until_s in self._put_off.items() if until_s > now_s}
        async with self._database.reading() as connection:
            lacking = await rows.list_unembedded(connection, model, _AT_ONCE + len(self._put_off))
        todo = [(image_id, name) for image_id, name in lacking if name not in self._put_off]
        return sum([await self._embed(image_id, name) for image_id, name in todo[:_AT_ONCE]])

    async def _embed(self, image_id: str, name: str) -> bool:
        try:
            data = await self._shelf.read(name)
        except TriptychError as error:
            return self._put_it_off(image_id, name, error)
        try:
            (embedding,) = await self._embedder.pictures([data])
        except Unavailable:  # not this picture's fault
            raise
        except TriptychError as error:
            return self._put_it_off(image_id, name, error)
        async with self._database.writing() as connection:
            return await rows.set_embedding(connection, image_id, embedding)

    def _put_it_off(self, image_id: str, name: str, error: TriptychError) -> bool:
        """One picture must not keep the others waiting."""
        log.error("the picture %s gets no embedding for an hour: %s", image_id, error.detail)
        self._put_off[name] = time.monotonic() + _PUT_OFF_S
        return False
