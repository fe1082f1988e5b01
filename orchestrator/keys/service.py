"""API keys: made once, shown once, kept only as a hash. Knows no HTTP; what a missing key means, the edge decides."""

import contextlib
import hashlib
import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update

from modelcore.errors import InvalidInput, NotFound, Unavailable
from orchestrator.storage.database import Database
from orchestrator.storage.dialects import now_ms
from orchestrator.storage.tables import ApiKeyRow

# What a key may do: look (analyses and its own gallery and jobs), make pictures and other things that are kept, and
# what concerns everybody (retraining, models).
SCOPES = ("read", "create", "admin")
KEY_OWNER = "key:"
_PREFIX_LENGTH = 11  # "tt_" and eight characters: enough to tell keys apart, 208 bits short of the secret
_TOKEN = re.compile(r"tt_[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,80}")
_USE_IS_WRITTEN_EVERY_MS = 60_000


@dataclass(frozen=True)
class ApiKey:
    id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    requests_per_minute: int | None
    cost_per_day: int | None
    created_at_ms: int
    last_used_at_ms: int | None
    revoked_at_ms: int | None

    @property
    def owner(self) -> str:
        """Whose pictures and jobs they are that this key makes."""
        return f"{KEY_OWNER}{self.id}"


@dataclass(frozen=True)
class NewKey:
    key: ApiKey
    token: str  # the only time that anybody sees it


_COLUMNS = [getattr(ApiKeyRow, name) for name in ApiKey.__dataclass_fields__]


class Keys:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        name: str,
        scopes: Sequence[str] = ("read", "create"),
        requests_per_minute: int | None = None,
        cost_per_day: int | None = None,
    ) -> NewKey:
        _check(name, scopes, requests_per_minute, cost_per_day)
        token = f"tt_{secrets.token_urlsafe(32)}"
        values = {
            "id": str(uuid.uuid4()),
            "name": name,
            "prefix": token[:_PREFIX_LENGTH],
            "secret_sha256": _hash(token),
            "scopes": sorted(set(scopes), key=SCOPES.index),
            "requests_per_minute": requests_per_minute,
            "cost_per_day": cost_per_day,
            "created_at_ms": now_ms(),
        }
        async with self._database.writing() as connection:
            row = (await connection.execute(insert(ApiKeyRow).values(values).returning(*_COLUMNS))).one()
        return NewKey(_key(row), token)

    async def list(self) -> list[ApiKey]:
        async with self._database.reading() as connection:
            rows = await connection.execute(select(*_COLUMNS).order_by(ApiKeyRow.created_at_ms, ApiKeyRow.id))
            return [_key(row) for row in rows]

    async def count_valid(self) -> int:
        async with self._database.reading() as connection:
            valid = select(func.count()).where(ApiKeyRow.revoked_at_ms.is_(None))
            return (await connection.scalars(valid)).one()

    async def revoke(self, id_or_prefix: str) -> ApiKey:
        """At once and for good. Revoking again changes nothing."""
        async with self._database.writing() as connection:
            is_meant = or_(ApiKeyRow.id == id_or_prefix, ApiKeyRow.prefix == id_or_prefix)
            ids = (await connection.scalars(select(ApiKeyRow.id).where(is_meant))).all()
            if len(ids) != 1:
                raise NotFound(f"{len(ids)} keys have this id or prefix: {id_or_prefix[:64]!r}")
            when = update(ApiKeyRow).where(ApiKeyRow.id == ids[0], ApiKeyRow.revoked_at_ms.is_(None))
            await connection.execute(when.values(revoked_at_ms=now_ms()))
            return _key((await connection.execute(select(*_COLUMNS).where(ApiKeyRow.id == ids[0]))).one())

    async def authenticate(self, token: str) -> ApiKey | None:
        """None for what is no key of ours, or no longer one. Looking up a hash tells nothing by its timing."""
        if not _TOKEN.fullmatch(token):
            return None
        where = (ApiKeyRow.secret_sha256 == _hash(token), ApiKeyRow.revoked_at_ms.is_(None))
        since_use = (now_ms() - ApiKeyRow.last_used_at_ms).label("since_use_ms")
        async with self._database.reading() as connection:
            row = (await connection.execute(select(*_COLUMNS, since_use).where(*where))).one_or_none()
        if row is None:
            return None
        if row.since_use_ms is None or row.since_use_ms > _USE_IS_WRITTEN_EVERY_MS:
            with contextlib.suppress(Unavailable):  # a database that is busy is no reason to turn a caller away
                await self._write_use(row.id)
        return _key(row)

    async def _write_use(self, key_id: str) -> None:
        async with self._database.writing() as connection:
            await connection.execute(update(ApiKeyRow).where(ApiKeyRow.id == key_id).values(last_used_at_ms=now_ms()))


def _key(row: Row[*tuple[Any, ...]]) -> ApiKey:
    values = {name: getattr(row, name) for name in ApiKey.__dataclass_fields__}
    return ApiKey(**values | {"scopes": tuple(row.scopes)})


def _hash(token: str) -> str:
    """No slow hash and no salt: the secret has 256 random bits, which nobody guesses."""
    return hashlib.sha256(token.encode()).hexdigest()


def _check(name: str, scopes: Sequence[str], *limits: int | None) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"a key's name must have 1 to 80 characters: {name[:64]!r}", field="name")
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InvalidInput(f"scopes must be some of {', '.join(SCOPES)}: {', '.join(scopes) or 'none'}", field="scopes")
    for limit in limits:
        if limit is not None and limit < 1:
            raise InvalidInput(f"a limit must be at least 1: {limit}")
