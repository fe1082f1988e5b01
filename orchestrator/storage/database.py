"""Transactions on the one database, to read or to write. Knows no table."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import AsyncConnection

from modelcore.errors import Unavailable
from orchestrator.storage.dialects import WRITES, is_sqlite, open_engine

_POSTGRESQL_WRITERS = 1_000  # more than its pool of connections: there the pool is the limit

log = logging.getLogger(__name__)


class Database:
    """Belongs to one event loop. Without `close` its connections are left open."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        self._writing_engine = self._engine.execution_options(**{WRITES: True})
        # SQLite has room for one writer. Waiting for it here is fair; waiting inside SQLite is a lottery.
        self._writers = asyncio.Semaphore(1 if is_sqlite(self._engine) else _POSTGRESQL_WRITERS)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        with _as_unavailable():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end of the block, rolled back by any exception out of it."""
        with _as_unavailable():
            async with self._writers, self._writing_engine.begin() as connection:
                yield connection

    async def close(self) -> None:
        await self._engine.dispose()


@contextmanager
def _as_unavailable() -> Iterator[None]:
    """Locked, full, restarted or gone: the database's troubles, which pass. Our own mistakes keep their names."""
    try:
        yield
    except (OperationalError, InterfaceError, NoFreeConnection) as error:
        log.error("the database failed: %s", error)
        raise Unavailable("the database does not answer at the moment", retry_after_s=2) from error
