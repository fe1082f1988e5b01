"""Bodies meant to hurt: each gets a clean 4xx, quickly."""

import httpx
import pytest

JSON = {"content-type": "application/json"}


async def post(client: httpx.AsyncClient, body: bytes, headers: dict[str, str] = JSON) -> httpx.Response:
    return await client.post("/v1/embeddings", content=body, headers=headers)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"input": "a"',
        b"\xff\xfe",
        b'"\xed\xa0\x80"',
        b'\xef\xbb\xbf{"input":"a"}',
        b'{"input": "\\ud800"}',
        b'{"\\udfff": "a"}',
        b'{"input": NaN}',
        b'{"input": -Infinity}',
        b'{"input": "a", "dimensions": 1e999}',
        b'{"input": "a", "dimensions": 12345678901234567890}',
        b'{"input": "a", "dimensions": -' + b"9" * 5000 + b"}",
        b'{"input": "a", "input": "b"}',
        b'{"input": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"a":' * 17 + b"1" + b"}" * 17,
        b'{"input": [' + b",".join([b"0.5"] * 2_001) + b"]}",
        b'{"input": "' + b'\\"' * 500_000,
        b"[" + b'"a",' * 500_000,
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_hostile_json_is_400(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await post(client, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json; charset=utf-16", "a", "multipart/x"])
async def test_a_wrong_content_type_is_refused(client: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = await post(client, b'{"input": "a"}', headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_format")


@pytest.mark.parametrize("parameters", ["x*0=u; x*=y", f"x*{'1' * 5_000}=1", "charset*=%00'en'x", ";" * 9_000])
async def test_no_parameter_of_a_content_type_is_a_crash(client: httpx.AsyncClient, parameters: str) -> None:
    answer = await post(client, b'{"input": "a"}', {"content-type": f"application/json; {parameters}"})
    assert answer.status_code == 400


async def test_utf8_may_be_said_aloud(client: httpx.AsyncClient) -> None:
    answer = await post(client, b'{"input": "a"}', {"content-type": "Application/JSON; charset=UTF-8"})
    assert answer.status_code == 200


async def test_an_empty_body_misses_its_fields(client: httpx.AsyncClient) -> None:
    assert (await post(client, b"")).json()["error"]["code"] == "invalid_input"


@pytest.mark.parametrize("document", [b"[]", b"1", b'"a"', b"null"])
async def test_anything_but_an_object_is_refused(client: httpx.AsyncClient, document: bytes) -> None:
    assert (await post(client, document)).json()["error"]["code"] == "invalid_input"


async def test_what_a_client_sent_is_not_echoed_at_length(client: httpx.AsyncClient) -> None:
    long = "x" * 1000
    answers = [
        await client.post("/v1/embeddings", json={"input": "a", "model": long}),
        await client.post("/v1/embeddings", json={"input": "a", "encoding_format": long}),
        await client.post("/v1/embeddings", json={"input": [{long: 1}]}),
        await client.post("/v1/embeddings", json={long: "\a"}),
        await client.get(f"/{long}"),
        await post(client, b'{"input": "a"}', {"content-type": f"text/{long}"}),
    ]
    assert all("x" * 65 not in answer.text for answer in answers)
