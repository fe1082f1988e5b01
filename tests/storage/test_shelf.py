"""Bytes and rows keep together, whoever comes and goes at the same time."""

import asyncio

from sqlalchemy import select

from orchestrator.gallery.rows import insert_images
from orchestrator.gallery.service import Gallery
from orchestrator.storage.database import Database
from orchestrator.storage.objects import Objects
from orchestrator.storage.shelf import Parcel, Shelf
from orchestrator.storage.tables import ObjectRow
from tests.storage.pictures import kept_picture, picture

TEXT = Parcel(b"some bytes", "text/plain")


async def names_of_rows(database: Database) -> set[str]:
    async with database.reading() as connection:
        return set((await connection.scalars(select(ObjectRow.sha256))).all())


async def test_what_nobody_came_to_use_is_swept_with_its_row(
    shelf: Shelf, objects: Objects, database: Database
) -> None:
    await shelf.keep([TEXT])
    assert await shelf.sweep(grace_s=0.0) == 1
    assert (await objects.names(), await names_of_rows(database)) == (set(), set())


async def test_what_was_touched_lately_is_left_alone(shelf: Shelf, objects: Objects) -> None:
    names = await shelf.keep([TEXT])
    assert await shelf.sweep() == 0
    assert await objects.names() == set(names)


async def test_what_a_picture_shows_is_never_swept(shelf: Shelf, objects: Objects, database: Database) -> None:
    await Gallery(database, shelf).add("me", [picture("red")])
    kept = await objects.names()
    assert await shelf.sweep(grace_s=0.0) == 0
    assert await objects.names() == kept == await names_of_rows(database)


async def test_sweeping_while_pictures_come_in_loses_none(shelf: Shelf, objects: Objects, database: Database) -> None:
    """The same picture every time, and a sweep that spares nothing: a row is then refused, never left without bytes."""
    gallery = Gallery(database, shelf)

    async def add() -> None:
        image = (await gallery.add("me", [picture("red")]))[0]
        assert await gallery.read(image) == picture("red").data
        await gallery.delete("me", image.id)

    async def sweep() -> None:
        await shelf.sweep(grace_s=0.2)

    await asyncio.gather(*(each() for _ in range(15) for each in (add, sweep)))
    await shelf.sweep(grace_s=0.0)
    assert (await objects.names(), await names_of_rows(database)) == (set(), set())


async def test_keeping_the_same_bytes_at_once_in_any_order_is_no_deadlock(shelf: Shelf) -> None:
    parcels = [Parcel(bytes([number]), "text/plain") for number in range(8)]
    kept = await asyncio.gather(*(shelf.keep(parcels[::step]) for step in (1, -1) for _ in range(10)))
    assert len({frozenset(names) for names in kept}) == 1


async def test_a_row_cannot_name_bytes_that_were_swept(shelf: Shelf, database: Database) -> None:
    from sqlalchemy.exc import IntegrityError

    kept = await kept_picture(shelf, "red")
    await shelf.sweep(grace_s=0.0)
    refused = False
    try:
        async with database.writing() as connection:
            await insert_images(connection, "me", [kept])
    except IntegrityError:
        refused = True
    assert refused
