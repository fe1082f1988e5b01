"""The server's door: how many come in at a time, and how many may wait before it."""

import asyncio
import gc
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestrator.edge.listening import Server


@asynccontextmanager
async def started(protocol: type[H11Protocol] = H11Protocol) -> AsyncIterator[int]:
    """A server of nothing: its port."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Says nothing."""

    config = uvicorn.Config(app, port=0, http=protocol, lifespan="off", log_config=None)
    config.load()
    server = Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        gc.unfreeze()
        server.servers[0].close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]
        await server.servers[0].wait_closed()


async def test_a_crowd_comes_in_by_eights_and_nobody_is_turned_away() -> None:
    turn = 0
    came_in: Counter[int] = Counter()

    class Counted(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            came_in[turn] += 1
            super().connection_made(transport)

    async with started(Counted) as port:
        # Nobody is let in meanwhile: all of them wait in the kernel.
        crowd = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(40)]
        while came_in.total() < len(crowd):
            turn += 1
            await asyncio.sleep(0)
        for each in crowd:
            each.close()
    assert max(came_in.values()) <= 8


async def test_what_is_there_at_the_start_is_not_collected_again() -> None:
    async with started():
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0
