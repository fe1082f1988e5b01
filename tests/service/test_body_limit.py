"""A body that comes too slowly, that never ends, or that comes when others hold all there is."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import structlog

from tests.service.conftest import Serve

JSON = {"content-type": "application/json"}
BODY = b'{"input":"a"}'


async def post(client: httpx.AsyncClient, body: AsyncIterator[bytes] | bytes) -> httpx.Response:
    return await client.post("/v1/embeddings", content=body, headers=JSON)


async def never_ends() -> AsyncIterator[bytes]:
    yield BODY
    await asyncio.Event().wait()


async def test_a_body_that_does_not_arrive_in_time_is_408_and_the_connection_is_closed(serve: Serve) -> None:
    async with serve(body_deadline_s=0.05) as client:
        answer = await post(client, never_ends())
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "request_timeout")
    assert answer.headers["Connection"] == "close"


async def test_the_deadline_is_for_the_whole_body_and_not_for_its_pieces(serve: Serve) -> None:
    async def drips() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.001)
            yield b" "

    async with serve(body_deadline_s=0.1) as client:
        assert (await post(client, drips())).status_code == 408


async def test_bodies_together_over_their_limit_are_503_until_one_has_ended(serve: Serve) -> None:
    is_held, may_end = asyncio.Event(), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield BODY
        is_held.set()
        await may_end.wait()

    async with serve(bodies_limit_bytes=2 * len(BODY) - 1) as client:
        first = asyncio.create_task(post(client, held()))
        await is_held.wait()
        refused = await post(client, BODY)
        may_end.set()
        answers = [await first, await post(client, BODY)]
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
    assert int(refused.headers["Retry-After"]) >= 1
    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/api/v1/embeddings"])
async def test_a_client_that_leaves_before_its_body_ends_is_no_fault_of_ours(
    client: httpx.AsyncClient, path: str
) -> None:
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
    }

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    async def send(message: object) -> None:
        raise AssertionError(f"nobody is left for {message}")

    assert isinstance(client._transport, httpx.ASGITransport)
    with structlog.testing.capture_logs() as lines:
        await client._transport.app(scope, receive, send)  # type: ignore[arg-type]
    assert [(line["event"], line["status"]) for line in lines if line["event"] == "request"] == [("request", 0)]
    assert "unhandled error" not in [line["event"] for line in lines]
