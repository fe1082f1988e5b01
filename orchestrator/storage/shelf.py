"""Stored bytes and the rows that account for them, so that neither is ever there for good without the other.

The row comes before the bytes and leaves after them. What a row of `objects` names may be used by any number of other
rows; what none uses is taken away, a while after it was last touched. A writer that comes back to the same bytes in
between touches the row first, and its own row's foreign key holds it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from orchestrator.storage.database import Database
from orchestrator.storage.dialects import insert_or_update, now_ms
from orchestrator.storage.objects import Objects, sha256_of
from orchestrator.storage.tables import ImageRow, JobFileRow, JobInputRow, ObjectRow
from orchestrator.together import together

GRACE_S = 60.0
_SWEEP_BATCH = 200


@dataclass(frozen=True)
class Parcel:
    """Bytes to keep, and what they are."""

    data: bytes
    media_type: str


class Shelf:
    def __init__(self, database: Database, objects: Objects) -> None:
        self._database = database
        self._objects = objects

    async def keep(self, parcels: Sequence[Parcel]) -> list[str]:
        """Their SHA-256s, which a row may name from now on, for at least the grace time."""
        if not parcels:
            return []
        names = await asyncio.to_thread(lambda: [sha256_of(parcel.data) for parcel in parcels])
        different = dict(zip(names, parcels, strict=True))
        async with self._database.writing() as connection:
            await _register(connection, different)
        # At the same time, since each waits for the disk most of its time; the first failure ends the others.
        await together(self._objects.put_named(name, parcel.data) for name, parcel in different.items())
        return names

    async def sweep(self, grace_s: float = GRACE_S) -> int:
        """Take away what no row uses. Returns how many."""
        conditions = _unused_for(grace_s)
        async with self._database.reading() as connection:
            found = await connection.scalars(select(ObjectRow.sha256).where(*conditions).limit(_SWEEP_BATCH))
        return sum([await self._discard(sha256, conditions) for sha256 in found])

    async def release(self, names: Iterable[str], grace_s: float = GRACE_S) -> None:
        """Take these away now, where nothing uses them any more and nobody has just stored them again."""
        conditions = _unused_for(grace_s)
        for name in names:
            await self._discard(name, conditions)

    async def read(self, sha256: str) -> bytes:
        return await self._objects.get(sha256)

    def stream(self, sha256: str) -> AsyncIterator[bytes]:
        return self._objects.stream(sha256)

    async def _discard(self, sha256: str, conditions: Sequence[ColumnElement[bool]]) -> bool:
        """The row's lock is held until its bytes are gone, so that nobody can come to rely on them meanwhile."""
        try:
            async with self._database.writing() as connection:
                gone = await connection.execute(delete(ObjectRow).where(ObjectRow.sha256 == sha256, *conditions))
                if gone.rowcount:
                    await self._objects.delete(sha256)
                return bool(gone.rowcount)
        except IntegrityError:
            return False  # PostgreSQL: another transaction has begun to use it


async def _register(connection: AsyncConnection, parcels: Mapping[str, Parcel]) -> None:
    """In one order for all, so that two writers with the same bytes cannot wait for each other in a circle."""
    rows = [
        {"sha256": name, "size_bytes": len(parcel.data), "media_type": parcel.media_type, "touched_at_ms": now_ms()}
        for name, parcel in sorted(parcels.items())
    ]
    statement = insert_or_update(connection, ObjectRow).values(rows)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["sha256"], set_={"touched_at_ms": now_ms()})
    )


def _unused_for(grace_s: float) -> tuple[ColumnElement[bool], ...]:
    uses = (ImageRow.object_sha256, ImageRow.thumbnail_sha256, JobInputRow.sha256, JobFileRow.sha256)
    unused = (~exists().where(column == ObjectRow.sha256) for column in uses)
    return (ObjectRow.touched_at_ms <= now_ms() - round(grace_s * 1000), *unused)
