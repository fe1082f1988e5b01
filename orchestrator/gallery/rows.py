"""The gallery's SQL. Every statement names the owner, so that nobody meets another's pictures by a guessed id."""

import dataclasses
import secrets
from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from orchestrator.gallery.pictures import Embedding, Image, KeptPicture
from orchestrator.gallery.search import ImageFilter, conditions, searchable
from orchestrator.storage.cursors import newest_first, older_than
from orchestrator.storage.dialects import now_ms
from orchestrator.storage.tables import ImageRow

_COLUMNS = [getattr(ImageRow, field.name) for field in dataclasses.fields(Image)]
_NEWEST_FIRST = newest_first(ImageRow.created_at_ms, ImageRow.id)
# Made once: making it anew for each picture, with the values in it, takes longer than carrying it out.
_INSERT = insert(ImageRow).values(created_at_ms=now_ms()).returning(*_COLUMNS)
_LONGEST_LINE = 100
_MARK_BITS = 40  # the sum over eight million pictures still is a whole number of 63 bits


async def insert_images(
    connection: AsyncConnection, owner: str, pictures: Sequence[KeptPicture], job_id: str | None = None
) -> list[Image]:
    """In the caller's transaction, so that a job and its pictures are done together or not at all."""
    images = []
    for position, picture in enumerate(pictures):
        values = _values(picture) | {"owner": owner, "job_id": job_id, "job_position": None if not job_id else position}
        values["parent_id"] = await _own_parent(connection, owner, picture)
        row = await connection.execute(_INSERT, values)
        images.append(Image(**row.one()._mapping))
    return images


async def find_image(connection: AsyncConnection, owner: str, image_id: str) -> Image | None:
    return await _first(connection, ImageRow.owner == owner, ImageRow.id == image_id)


async def find_last_image(connection: AsyncConnection, owner: str) -> Image | None:
    return await _first(connection, ImageRow.owner == owner)


async def list_images(
    connection: AsyncConnection, owner: str, wanted: ImageFilter, cursor: str | None, limit: int
) -> list[Image]:
    where = conditions(owner, wanted)
    if cursor is not None:
        where.append(older_than(cursor, ImageRow.created_at_ms, ImageRow.id))
    rows = await connection.execute(select(*_COLUMNS).where(*where).order_by(*_NEWEST_FIRST).limit(limit))
    return [Image(**row._mapping) for row in rows]


async def find_images(connection: AsyncConnection, owner: str, image_ids: Sequence[str]) -> list[Image]:
    """In the order asked for, without those that are gone."""
    rows = await connection.execute(select(*_COLUMNS).where(ImageRow.owner == owner, ImageRow.id.in_(image_ids)))
    found = {row.id: Image(**row._mapping) for row in rows}
    return [found[image_id] for image_id in image_ids if image_id in found]


async def list_ancestors(connection: AsyncConnection, owner: str, image: Image) -> list[Image]:
    """The parent first, then its parent, and so on."""
    line = select(ImageRow.id, ImageRow.parent_id).where(ImageRow.id == image.parent_id, ImageRow.owner == owner)
    walk = line.cte(recursive=True)
    elder = aliased(ImageRow)
    step = select(elder.id, elder.parent_id).join(walk, elder.id == walk.c.parent_id).where(elder.owner == owner)
    walk = walk.union_all(step)
    ids = (await connection.scalars(select(walk.c.id).limit(_LONGEST_LINE))).all()
    return await find_images(connection, owner, ids)


async def list_children(connection: AsyncConnection, owner: str, image: Image, limit: int) -> list[Image]:
    where = (ImageRow.owner == owner, ImageRow.parent_id == image.id)
    rows = await connection.execute(select(*_COLUMNS).where(*where).order_by(*_NEWEST_FIRST).limit(limit))
    return [Image(**row._mapping) for row in rows]


async def delete_image(connection: AsyncConnection, owner: str, image_id: str) -> tuple[str, ...] | None:
    """The names of the bytes that it used, or None where there is no such picture."""
    where = (ImageRow.owner == owner, ImageRow.id == image_id)
    used = (ImageRow.object_sha256, ImageRow.thumbnail_sha256)
    row = (await connection.execute(delete(ImageRow).where(*where).returning(*used))).one_or_none()
    return None if row is None else tuple(row)


async def set_feedback(
    connection: AsyncConnection, owner: str, image_id: str, feedback: int, note: str
) -> Image | None:
    where = (ImageRow.owner == owner, ImageRow.id == image_id)
    change = update(ImageRow).where(*where).values(feedback=feedback, note=note).returning(*_COLUMNS)
    row = (await connection.execute(change)).one_or_none()
    return None if row is None else Image(**row._mapping)


async def set_embedding(connection: AsyncConnection, image_id: str, embedding: Embedding) -> bool:
    """Whether it lacked one of this model. It gets each model's once; the vector indexes count on that."""
    where = (ImageRow.id == image_id, _lacks(embedding.model))
    return bool((await connection.execute(update(ImageRow).where(*where).values(_embedding(embedding)))).rowcount)


async def list_unembedded(connection: AsyncConnection, model: str, limit: int) -> list[tuple[str, str]]:
    """Whoever's: (id, name of the bytes) of pictures that have no embedding of this model."""
    rows = await connection.execute(select(ImageRow.id, ImageRow.object_sha256).where(_lacks(model)).limit(limit))
    return [(row.id, row.object_sha256) for row in rows]


async def _first(connection: AsyncConnection, *where: object) -> Image | None:
    statement = select(*_COLUMNS).where(*where).order_by(*_NEWEST_FIRST).limit(1)  # type: ignore[arg-type]
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else Image(**row._mapping)


async def _own_parent(connection: AsyncConnection, owner: str, picture: KeptPicture) -> str | None:
    """A parent that was deleted while its child was being made is no reason to lose the child."""
    if picture.new.parent is None:
        return None
    where = (ImageRow.owner == owner, ImageRow.id == picture.new.parent.image_id)
    return (await connection.scalars(select(ImageRow.id).where(*where))).one_or_none()


def _lacks(model: str) -> ColumnElement[bool]:
    """In words that an index understands, which `!=` is not: this is asked again and again, and mostly of none."""
    named = ImageRow.embedding_model
    return or_(named.is_(None), named < model, named > model)


def _embedding(embedding: Embedding | None) -> dict[str, object]:
    """The mark is new each time, so that whatever comes or goes shows in the sum of the marks."""
    if embedding is None:
        return {"embedding": None, "embedding_model": None, "embedding_mark": None}
    mark = secrets.randbits(_MARK_BITS)
    return {"embedding": embedding.as_bytes(), "embedding_model": embedding.model, "embedding_mark": mark}


def _values(picture: KeptPicture) -> dict[str, object]:
    new = picture.new
    return {
        "id": picture.id,
        "kind": new.kind,
        "prompt": new.prompt,
        "prompt_words": searchable(new.prompt),
        "negative_prompt": new.negative_prompt,
        "family": new.family,
        "model": new.model,
        "seed": new.seed,
        "width": picture.width,
        "height": picture.height,
        "params": dict(new.params),
        "relation": new.parent.relation if new.parent else None,
        "object_sha256": picture.object_sha256,
        "thumbnail_sha256": picture.thumbnail_sha256,
        "size_bytes": len(new.data),
        "media_type": picture.media_type,
        "feedback": 0,
        "note": "",
        **_embedding(new.embedding),
    }
