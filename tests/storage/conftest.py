"""A real database of each kind, and everything that stands on one."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orchestrator.storage.database import Database
from orchestrator.storage.objects import Objects, open_objects
from orchestrator.storage.schema import migrate
from orchestrator.storage.shelf import Shelf
from tests.storage.servers import Postgresql, Redis, running_postgresql, running_redis


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    with running_postgresql() as server:
        yield server


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state/triptych.db"
        return
    server = request.getfixturevalue("postgresql")
    assert isinstance(server, Postgresql)
    with server.new_database() as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await migrate(database)
    yield database
    await database.close()


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects(None, tmp_path / "objects")


@pytest.fixture
def shelf(database: Database, objects: Objects) -> Shelf:
    return Shelf(database, objects)
