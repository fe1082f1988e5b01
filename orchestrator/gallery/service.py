"""The gallery as its callers see it. Knows no HTTP; an owner is a text that the edge made out of a key or session."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from modelcore.errors import InvalidInput, NotFound
from orchestrator.gallery import rows
from orchestrator.gallery.pictures import Image, KeptPicture, NewPicture, keep_pictures
from orchestrator.gallery.search import ImageFilter
from orchestrator.storage.cursors import write_cursor
from orchestrator.storage.database import Database
from orchestrator.storage.shelf import Shelf

MAX_PAGE = 100
MAX_NOTE = 2_000
EVERYTHING = ImageFilter()


@dataclass(frozen=True)
class Page:
    images: tuple[Image, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class Lineage:
    ancestors: tuple[Image, ...]  # the parent first
    children: tuple[Image, ...]  # the newest first


class Gallery:
    def __init__(self, database: Database, shelf: Shelf) -> None:
        self._database = database
        self._shelf = shelf

    async def add(self, owner: str, pictures: Sequence[NewPicture]) -> list[Image]:
        """For pictures that no job makes. A job's go in with its completion, see jobs/effects.py."""
        async with self.adding(owner, await self.keep(pictures)) as (_, images):
            return images

    async def keep(self, pictures: Sequence[NewPicture]) -> list[KeptPicture]:
        """The first half of `add`, for who has something to do meanwhile."""
        return await keep_pictures(self._shelf, pictures)

    @asynccontextmanager
    async def adding(
        self, owner: str, kept: Sequence[KeptPicture]
    ) -> AsyncIterator[tuple[AsyncConnection, list[Image]]]:
        """The second half, for who has something to write in the same transaction, which ends with the block."""
        async with self._database.writing() as connection:
            yield connection, await rows.insert_images(connection, owner, kept)

    async def get(self, owner: str, image_id: str) -> Image:
        async with self._database.reading() as connection:
            return _found(await rows.find_image(connection, owner, image_id))

    async def last(self, owner: str) -> Image:
        """The caller's newest picture, for requests that name none."""
        async with self._database.reading() as connection:
            image = await rows.find_last_image(connection, owner)
        if image is None:
            raise NotFound("you have no picture yet: make or send one first")
        return image

    async def page(
        self, owner: str, wanted: ImageFilter = EVERYTHING, cursor: str | None = None, limit: int = 20
    ) -> Page:
        check_limit(limit)
        async with self._database.reading() as connection:
            found = await rows.list_images(connection, owner, wanted, cursor, limit + 1)
        shown = tuple(found[:limit])
        more = len(found) > limit
        return Page(shown, write_cursor(shown[-1].created_at_ms, shown[-1].id) if more else None)

    async def lineage(self, owner: str, image_id: str) -> Lineage:
        async with self._database.reading() as connection:
            image = _found(await rows.find_image(connection, owner, image_id))
            ancestors = await rows.list_ancestors(connection, owner, image)
            children = await rows.list_children(connection, owner, image, MAX_PAGE)
        return Lineage(tuple(ancestors), tuple(children))

    async def read(self, image: Image) -> bytes:
        return await self._shelf.read(image.object_sha256)

    def stream(self, image: Image) -> AsyncIterator[bytes]:
        return self._shelf.stream(image.object_sha256)

    async def read_bytes(self, sha256: str) -> bytes:
        """Of a picture or a thumbnail, by the name that an image of the caller's has told."""
        return await self._shelf.read(sha256)

    async def delete(self, owner: str, image_id: str) -> None:
        """Gone at once for everybody; its bytes go too, unless another row still shows them."""
        async with self._database.writing() as connection:
            names = await rows.delete_image(connection, owner, image_id)
        if names is None:
            raise no_such_picture()
        await self._shelf.release(names)

    async def give_feedback(self, owner: str, image_id: str, feedback: int, note: str = "") -> Image:
        if feedback not in (-1, 0, 1):
            raise InvalidInput(f"feedback must be -1, 0 or 1: {feedback}", field="feedback")
        if len(note) > MAX_NOTE:
            raise InvalidInput(f"a note may have {MAX_NOTE} characters: {len(note)}", field="note")
        async with self._database.writing() as connection:
            return _found(await rows.set_feedback(connection, owner, image_id, feedback, note))


def _found(image: Image | None) -> Image:
    if image is None:
        raise no_such_picture()
    return image


def no_such_picture() -> NotFound:
    return NotFound("there is no such picture")


def check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(f"limit must be between 1 and {MAX_PAGE}: {limit}", field="limit")
