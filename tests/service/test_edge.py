"""What every request passes: ids, traces, headers, limits, methods."""

import base64
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
import structlog
from PIL import Image

from modelcore.images import PictureLimits, encode_png
from orchestrator.errors import ECHO_LIMIT
from tests.service.conftest import Serve
from tests.service.fake_triton import FakeTriton

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STRICT = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


async def test_a_clean_request_id_is_kept(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing", headers={"X-Request-ID": "abc-1.2_3"})
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == "abc-1.2_3"


@pytest.mark.parametrize("dirty", ["", "a b", "a" * 65, "a;b", "-a", "é"])
async def test_a_dirty_request_id_is_replaced(client: httpx.AsyncClient, dirty: str) -> None:
    answer = await client.get("/health/live", headers={b"X-Request-ID": dirty.encode()})
    assert str(uuid.UUID(answer.headers["X-Request-ID"])) == answer.headers["X-Request-ID"]


async def test_the_access_line_has_template_status_and_time(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as lines:
        await client.get("/health/live")
    line = next(line for line in lines if line["event"] == "request")
    assert (line["method"], line["route"], line["status"]) == ("GET", "/health/live", 200)
    assert line["ms"] >= 0


async def test_the_trace_is_passed_on_and_nothing_else(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    headers = {"traceparent": TRACE, "X-Secret": "s", "Authorization": "Bearer s", "tracestate": "a=b"}
    await client.post("/v1/embeddings", json={"input": "a"}, headers=headers)
    sent = metadata_of(fake, "clip_text_string")
    assert sent["traceparent"] == TRACE
    assert set(sent) <= {"traceparent", "user-agent"}


@pytest.mark.parametrize("bad", ["", "00-x", TRACE.upper(), TRACE + "-more", "00-" + "0" * 32 + TRACE[35:]])
async def test_a_malformed_trace_is_dropped(client: httpx.AsyncClient, fake: FakeTriton, bad: str) -> None:
    await client.post("/v1/embeddings", json={"input": "a"}, headers={"traceparent": bad})
    assert "traceparent" not in metadata_of(fake, "clip_text_string")


def metadata_of(fake: FakeTriton, model: str) -> dict[str, str]:
    models = [name for name, _ in fake.requests]
    return fake.metadata[models.index(model)]


@pytest.mark.parametrize("path", ["/", "/health/live", "/nothing", "/v1/embeddings", "/metrics"])
async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"] == STRICT


@pytest.mark.parametrize("path", ["/images", "/model/info", "/nothing", "/v1/nothing", "/docs"])
async def test_no_answer_is_kept_by_a_cache(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).headers["Cache-Control"] == "no-store"


async def test_a_pictures_bytes_are_kept_by_its_owners_browser_only(client: httpx.AsyncClient) -> None:
    image_id = (await client.post("/generate", json={"prompt": "a red circle", "analyze": False})).json()["image_id"]
    answer = await client.get(f"/images/{image_id}/file")
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"


async def test_the_docs_page_allows_its_own_style_and_no_script(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs")
    policy = answer.headers["Content-Security-Policy"]
    assert "style-src 'sha256-" in policy
    assert "script-src" not in policy
    assert "<script" not in answer.text
    assert "POST /v1/embeddings" in answer.text


async def test_an_unknown_address_is_a_problem(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing")
    assert answer.headers["content-type"] == "application/problem+json"
    assert {key: answer.json()[key] for key in ("type", "status", "code", "errors")} == {
        "type": "about:blank",
        "status": 404,
        "code": "not_found",
        "errors": [],
    }


async def test_a_wrong_method_is_told_the_right_ones(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/health/live")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert answer.json()["code"] == "method_not_allowed"


async def test_under_v1_even_an_unknown_address_is_in_openai_shape(client: httpx.AsyncClient) -> None:
    assert set((await client.get("/v1/nothing")).json()) == {"error"}


async def test_a_crash_is_500_without_its_story(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: object) -> None:
        raise RuntimeError("secret path")

    monkeypatch.setattr("orchestrator.models.service.Models.served", crash)
    with structlog.testing.capture_logs() as lines:
        answer = await client.get("/model/info")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_fault")
    assert "secret" not in answer.text
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == STRICT
    assert [line["event"] for line in lines].count("unhandled error") == 1


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/health/live", "/api/health/ready", "/metrics"])
async def test_head_has_the_headers_of_get_and_no_body(client: httpx.AsyncClient, path: str) -> None:
    got, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


async def test_head_is_counted_as_head_under_its_route(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as lines:
        await client.head("/health/live")
    line = next(line for line in lines if line["event"] == "request")
    assert (line["method"], line["route"]) == ("HEAD", "/health/live")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8080", "LOCALHOST", "[::1]:8080", "[::1]", "box:80"])
async def test_a_name_of_ours_is_let_in(serve: Serve, host: str) -> None:
    async with serve(allowed_hosts="box") as client:
        assert (await client.get("/health/live", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil", "::1", "", "a:b:c"])
async def test_another_name_is_refused(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/health/live", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")


async def test_a_declared_body_over_the_limit_is_refused_unread(serve: Serve) -> None:
    async with serve(body_limit_bytes=100) as client:
        answer = await client.post("/health/live", content=b"x" * 101)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_streamed_body_is_refused_as_soon_as_it_is_too_long(serve: Serve) -> None:
    sent: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            sent.append(1)
            yield b"x" * 60

    async with serve(body_limit_bytes=100) as client:
        answer = await client.post("/v1/embeddings", content=endless())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert len(sent) == 2


async def test_a_body_at_the_limit_is_read(serve: Serve) -> None:
    body = b'{"input":"a"}'
    async with serve(body_limit_bytes=len(body)) as client:
        answer = await client.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200


async def test_the_largest_picture_fits_into_a_body(client: httpx.AsyncClient) -> None:
    picture = encode_png(Image.new("RGB", (8, 8))).ljust(PictureLimits().max_bytes, b"\0")
    sent = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    answer = await client.post("/v1/embeddings", json={"input": [{"image": sent}]})
    assert answer.status_code == 200, answer.text


async def test_every_value_that_would_do_is_told(client: httpx.AsyncClient) -> None:
    """However many they are: what is shortened is what a client has sent."""
    answer = await client.post("/v1/images/generations", json={"prompt": "a", "quality": "best"})
    values = "'auto', 'low', 'medium', 'high', 'standard' or 'hd'"
    assert answer.json()["error"]["message"] == f"quality: Input should be {values}"


async def test_a_fields_name_is_repeated_as_far_as_it_is_short(client: httpx.AsyncClient) -> None:
    answer = await client.post("/generate", json={"prompt": "a", "x" * 1000: 1})
    assert [len(each["field"]) for each in answer.json()["errors"]] == [ECHO_LIMIT]


async def test_no_other_origin_is_let_in_by_default(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/live", headers={"Origin": "https://example.org"})
    assert "access-control-allow-origin" not in answer.headers


async def test_a_listed_origin_is_let_in(serve: Serve) -> None:
    async with serve(cors_origins="https://example.org") as client:
        allowed = await client.get("/health/live", headers={"Origin": "https://example.org"})
        other = await client.get("/health/live", headers={"Origin": "https://evil.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://example.org"
    assert "access-control-allow-origin" not in other.headers


async def test_no_thread_is_needed_to_find_a_routes_services(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastAPI gives a thread to each dependency that is a plain function; a busy machine makes ten of them dear."""

    async def refuse(dependency: object, **_arguments: object) -> None:
        raise AssertionError(f"{dependency} is no coroutine function")

    monkeypatch.setattr("fastapi.dependencies.utils.run_in_threadpool", refuse)
    generated = await client.post("/generate", json={"prompt": "a red circle"})
    analyzed = await client.post("/analyze")
    listed = await client.get("/images")
    assert [answer.status_code for answer in (generated, analyzed, listed)] == [200, 200, 200]
