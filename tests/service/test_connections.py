"""What happens on a socket before there is a request: silence, garbage, and too many."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from orchestrator.app import create_app
from orchestrator.edge.connection import ConnectionRules, bounded_connections
from orchestrator.settings import Settings

PATIENT = ConnectionRules(limit=10, head_deadline_s=60)
HASTY = ConnectionRules(limit=10, head_deadline_s=0.05)
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def listening(rules: ConnectionRules) -> AsyncIterator[int]:
    """The app on a real socket, without a Triton: its port."""
    config = uvicorn.Config(create_app(Settings()), log_config=None, lifespan="off")
    state, protocol = ServerState(), bounded_connections(rules)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await server.wait_closed()


async def answer_to(port: int, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Everything that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        received = await asyncio.wait_for(reader.read(), timeout=20)
    finally:
        writer.close()
        await writer.wait_closed()
    head, _, body = received.partition(b"\r\n\r\n")
    start, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(start.split()[1]), headers, json.loads(body)


def is_ours(headers: dict[str, str], body: Any) -> bool:
    return (
        headers["content-type"] == "application/problem+json"
        and headers["x-content-type-options"] == "nosniff"
        and headers["connection"] == "close"
        and headers["x-request-id"] == body["request_id"]
    )


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with listening(HASTY) as port:
        status, headers, body = await answer_to(port, b"")
    assert (status, body["code"]) == (408, "request_timeout")
    assert is_ours(headers, body)


async def test_half_a_head_is_not_waited_for() -> None:
    async with listening(HASTY) as port:
        status, _, _ = await answer_to(port, LIVE[:-2])
    assert status == 408


async def test_a_second_request_gets_no_more_patience_than_the_first() -> None:
    async with listening(HASTY) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LIVE)
        await reader.readuntil(b'{"status":"live"}')
        writer.write(LIVE[:20])
        received = await asyncio.wait_for(reader.read(), timeout=20)
        writer.close()
    assert received.startswith(b"HTTP/1.1 408 ")


async def test_what_is_not_http_is_refused_in_our_shape() -> None:
    async with listening(PATIENT) as port:
        status, headers, body = await answer_to(port, b"nonsense\r\n\r\n")
    assert (status, body["code"]) == (400, "malformed")
    assert is_ours(headers, body)


async def test_a_broken_chunk_is_refused_while_the_request_is_in_hand() -> None:
    head = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with listening(PATIENT) as port:
        status, _, _ = await answer_to(port, head + b"not a length\r\n")
    assert status == 400


async def test_another_version_of_http_is_505() -> None:
    async with listening(PATIENT) as port:
        status, headers, body = await answer_to(port, LIVE.replace(b"HTTP/1.1", b"HTTP/3.0"))
    assert (status, body["code"]) == (505, "http_version_not_supported")
    assert is_ours(headers, body)


async def test_one_connection_too_many_is_told_to_come_back() -> None:
    async with listening(ConnectionRules(limit=1, head_deadline_s=60)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LIVE)
        await reader.readuntil(b'{"status":"live"}')
        status, headers, body = await answer_to(port, b"")
        writer.close()
        await writer.wait_closed()
    assert (status, body["code"]) == (503, "overloaded")
    assert int(headers["retry-after"]) >= 1
    assert is_ours(headers, body)


async def test_two_lengths_of_one_body_end_the_connection() -> None:
    both = b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    async with listening(PATIENT) as port:
        status, headers, _ = await answer_to(port, b"POST /feedback HTTP/1.1\r\nHost: localhost\r\n" + both + LIVE)
    assert (status, headers["connection"]) == (400, "close")


async def test_whether_we_live_is_answered_before_a_crowd_that_came_earlier() -> None:
    crowd = 20
    async with listening(ConnectionRules(limit=100, head_deadline_s=60)) as port:
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(crowd)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _, each in connections:
            each.write(LIVE.replace(b"/health/live", b"/docs"))
        writer.write(LIVE)
        await reader.readuntil(b'{"status":"live"}')
        served = [each for each, _ in connections if each._buffer]  # type: ignore[attr-defined]
        for _, each in [*connections, (reader, writer)]:
            each.close()
    assert len(served) < crowd / 2


async def test_a_crowd_is_served_to_the_last() -> None:
    async with listening(ConnectionRules(limit=100, head_deadline_s=60)) as port:
        request = LIVE.replace(b"/health/live", b"/nothing").replace(b"Host", b"Connection: close\r\nHost")
        answers = await asyncio.gather(*(answer_to(port, request) for _ in range(50)))
    assert {status for status, _, _ in answers} == {404}


async def test_a_body_in_the_smallest_chunks_is_read_in_many_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.edge.connection._READS_FOR_S", 0.0)
    chunks = b"1\r\n{\r\n" * 20_000
    turns = 0

    def count() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(count)

    async with listening(PATIENT) as port:
        count()
        head = b"POST /feedback HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        status, _, _ = await answer_to(port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert status == 400
    assert turns > len(chunks) / 8192
