"""Transactions, the schema and its migrations, on both databases."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, insert, inspect, select, text

from modelcore.errors import SetupProblem, Unavailable
from orchestrator.storage.database import Database
from orchestrator.storage.dialects import Turn, now_ms, parse_url, take_turn
from orchestrator.storage.schema import migrate
from orchestrator.storage.tables import ObjectRow, Table
from tests.storage.servers import Postgresql

MIGRATE = (
    "import asyncio, sys\n"
    "from orchestrator.storage.database import Database\n"
    "from orchestrator.storage.schema import migrate\n"
    "async def main():\n"
    "    database = Database(sys.argv[1])\n"
    "    await migrate(database)\n"
    "    await database.close()\n"
    "asyncio.run(main())\n"
)


def described(connection: Connection) -> dict[str, Any]:
    """All of a schema that either database can tell about itself."""
    inspector = inspect(connection)
    return {
        name: {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(name)
            ],
            "key": inspector.get_pk_constraint(name),
            "indexes": sorted(str(_in_words(index)) for index in inspector.get_indexes(name)),
            "foreign keys": sorted(str(key) for key in inspector.get_foreign_keys(name)),
            "unique": sorted(str(each) for each in inspector.get_unique_constraints(name)),
            "checks": sorted(str(check) for check in inspector.get_check_constraints(name)),
        }
        for name in inspector.get_table_names()
        if name != "alembic_version"
    }


def _in_words(index: Mapping[str, Any]) -> dict[str, Any]:
    """SQLite's condition of an index comes as an object."""
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return {**index, "dialect_options": options}


def object_row(name: str) -> dict[str, object]:
    return {"sha256": name, "size_bytes": 1, "media_type": "image/png", "touched_at_ms": 0}


async def count(database: Database) -> int:
    async with database.reading() as connection:
        return len((await connection.scalars(select(ObjectRow.sha256))).all())


@pytest.fixture
def other_url(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A second, empty database of the same kind."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path}/other.db"
        return
    server = request.getfixturevalue("postgresql")
    assert isinstance(server, Postgresql)
    with server.new_database() as url:
        yield url


async def test_the_migrated_schema_is_the_declared_one(database: Database, other_url: str) -> None:
    declared = Database(other_url)
    async with declared.writing() as connection:
        await connection.run_sync(Table.metadata.create_all)
        expected = await connection.run_sync(described)
    await declared.close()
    async with database.reading() as connection:
        assert await connection.run_sync(described) == expected


async def test_migrating_again_changes_nothing(database: Database) -> None:
    async with database.writing() as connection:
        await connection.execute(insert(ObjectRow).values(object_row("a")))
    await migrate(database)
    assert await count(database) == 1


async def test_processes_that_start_together_migrate_once(database_url: str) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", MIGRATE, database_url], stderr=subprocess.PIPE) for _ in range(3)
    ]
    errors = [process.communicate()[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], errors


async def test_a_database_from_the_future_is_refused(database: Database) -> None:
    async with database.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '2999_01_01_flying_cars'"))
    with pytest.raises(SetupProblem, match="newer version"):
        await migrate(database)


async def test_an_exception_rolls_the_transaction_back(database: Database) -> None:
    async def add_and_fail() -> None:
        async with database.writing() as connection:
            await connection.execute(insert(ObjectRow).values(object_row("a")))
            raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError):
        await add_and_fail()
    assert await count(database) == 0


async def test_writers_that_read_first_do_not_fail_each_other(database: Database) -> None:
    async def add(name: str) -> None:
        async with database.writing() as connection:
            await take_turn(connection, Turn.ACCEPTANCE)
            seen = len((await connection.scalars(select(ObjectRow.sha256))).all())
            await connection.execute(insert(ObjectRow).values(object_row(f"{name} after {seen}")))

    await asyncio.gather(*(add(f"row {number}") for number in range(20)))
    async with database.reading() as connection:
        names = (await connection.scalars(select(ObjectRow.sha256))).all()
    assert sorted(int(name.rpartition(" ")[2]) for name in names) == list(range(20))


async def test_the_clock_is_utc_in_milliseconds(database: Database) -> None:
    async with database.reading() as connection:
        told = (await connection.execute(text("SELECT CURRENT_TIMESTAMP"))).scalar_one()
        milliseconds = (await connection.execute(select(now_ms()))).scalar_one()
        as_seconds = text("SELECT CAST(strftime('%s', :told) AS INTEGER)")
        if connection.dialect.name == "postgresql":
            as_seconds = text("SELECT EXTRACT(EPOCH FROM CAST(:told AS timestamptz))")
        seconds = (await connection.execute(as_seconds, {"told": told})).scalar_one()
    assert abs(milliseconds / 1000 - float(seconds)) < 2


async def test_sqlite_keeps_what_it_has_committed(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    async with database.reading() as connection:
        found = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar() for name in ("journal_mode", "synchronous")
        ]
    await database.close()
    assert found == ["wal", 2]  # 2 is FULL


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(Unavailable, match="does not answer"):
        await count(database)
    await database.close()


async def test_connections_that_the_server_has_cut_are_replaced(postgresql: Postgresql) -> None:
    with postgresql.new_database() as url:
        database = Database(url)
        await migrate(database)
        with psycopg.connect(postgresql.url("postgres"), autocommit=True) as administrator:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            assert administrator.execute(cut, [url.rpartition("/")[2]]).rowcount > 0
        assert await count(database) == 0
        await database.close()


@pytest.mark.parametrize("url", ["mysql://a/b", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_database_that_could_not_keep_a_promise_is_refused(url: str) -> None:
    with pytest.raises(SetupProblem):
        parse_url(url)


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(SetupProblem) as refused:
        parse_url("mysql://user:secret@host/b")
    assert "secret" not in refused.value.detail
