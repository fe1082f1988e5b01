"""The one place that knows what SQLite and PostgreSQL do differently. Everything above speaks SQLAlchemy's language."""

import enum
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, event, text
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.functions import FunctionElement

from modelcore.errors import SetupProblem

WRITES = "triptych_writes"
_BUSY_TIMEOUT_MS = 15_000
# The busy timeout comes first: even the change to WAL may meet another process that has just started.
_SQLITE_PRAGMAS = (
    f"busy_timeout={_BUSY_TIMEOUT_MS}",
    "journal_mode=WAL",
    "synchronous=FULL",  # what is committed survives a power cut, which WAL's default NORMAL does not promise
    "foreign_keys=ON",
)
_POSTGRESQL_OPTIONS = "-c statement_timeout=30000 -c lock_timeout=15000 -c idle_in_transaction_session_timeout=60000"
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}
# Any number that no other program on the same PostgreSQL would choose.
_ADVISORY_CLASS = 0x7219


class Turn(enum.IntEnum):
    """What only one transaction at a time may do."""

    MIGRATION = 1
    ACCEPTANCE = 2
    CLAIM = 3


class now_ms(FunctionElement[int]):
    """The database's own clock in whole milliseconds since 1970: the one clock that all processes share."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _now_in_sqlite(_element: now_ms, _compiler: Any, **_options: Any) -> str:
    # unixepoch('subsec') would be plainer, but Debian 12 has SQLite 3.40 and it came with 3.42.
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


@compiles(now_ms, "postgresql")
def _now_in_postgresql(_element: now_ms, _compiler: Any, **_options: Any) -> str:
    # now() stands still within a transaction, also while it waits for a lock.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


def open_engine(url: str) -> AsyncEngine:
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    return create_async_engine(
        parsed,
        pool_pre_ping=True,  # a restarted server costs one more round trip, not a failed request
        connect_args={"connect_timeout": 5, "options": _POSTGRESQL_OPTIONS},
    )


def parse_url(url: str) -> URL:
    """The URL with the driver that we use. Its password must not be shown, so errors name only its beginning."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SetupProblem("the database URL cannot be read: write sqlite:///FILE or postgresql://...") from None
    name = parsed.drivername.partition("+")[0]
    if name not in _DRIVERS:
        raise SetupProblem(f"the database must be sqlite or postgresql: {name!r}")
    if name == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise SetupProblem("the SQLite database must be a file: what is accepted must outlive the process")
    return parsed.set(drivername=_DRIVERS[name])


def is_sqlite(engine: AsyncEngine) -> bool:
    return engine.dialect.name == "sqlite"


async def take_turn(connection: AsyncConnection, turn: Turn) -> None:
    """Until the transaction ends, nobody else has this turn. A SQLite writer has the whole file to itself already."""
    if connection.dialect.name == "postgresql":
        statement = text("SELECT pg_advisory_xact_lock(:class, :turn)")
        await connection.execute(statement, {"class": _ADVISORY_CLASS, "turn": int(turn)})


def insert_or_update(connection: AsyncConnection, table: type[DeclarativeBase]) -> SqliteInsert | PostgresqlInsert:
    """An INSERT that has `on_conflict_do_update`, which SQL has no common word for."""
    return PostgresqlInsert(table) if connection.dialect.name == "postgresql" else SqliteInsert(table)


def _open_sqlite(url: URL) -> AsyncEngine:
    assert url.database is not None
    Path(url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = create_async_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000})
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own: ours say of which kind
    cursor = connection.cursor()
    for pragma in _SQLITE_PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A deferred transaction that reads and then writes fails at once when another has written in between."""
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
