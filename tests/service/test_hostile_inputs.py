"""Requests meant to hurt, byte by byte on a real socket: each gets the status that reliability promises, and no story.

One table. Each row is sent as it stands on a connection of its own; then a plain request must still be answered.
"""

import base64
import io
import json
import socket
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modelcore.images import encode_png
from tests.service.live import LiveServer

PROJECT = Path(__file__).parents[2]
# What would tell of our insides: our paths, our libraries, Python's and Triton's own words.
STORIES = (str(PROJECT), "site-packages", "Traceback", ".py", "sqlite", "sqlalchemy", "grpc", "StatusCode", "0x")
LONGEST_ECHO = "x" * 65
PICTURE = encode_png(Image.new("RGB", (8, 8), (200, 30, 30)))


@dataclass(frozen=True)
class Row:
    name: str
    status: int | tuple[int, ...]
    sent: bytes


def http(
    start: str,
    body: bytes = b"",
    content_type: str | None = None,
    *headers: str,
    closes: bool = True,
    host: bool = True,
) -> bytes:
    lines = [f"{start} HTTP/1.1", *(["Host: 127.0.0.1"] if host else []), *(["Connection: close"] if closes else [])]
    lines += [f"Content-Type: {content_type}"] if content_type else []
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def json_to(path: str, document: Any) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return http(f"POST {path}", body, "application/json")


def generate(**wishes: Any) -> bytes:
    return json_to("/generate", {"prompt": "a red circle", **wishes})


def part(disposition: str, data: bytes = b"x", *headers: str) -> bytes:
    lines = [f"Content-Disposition: {disposition}", *headers, "", ""]
    return b"--B\r\n" + "\r\n".join(lines).encode("latin-1") + data + b"\r\n"


def form_to(
    path: str, *parts: bytes, content_type: str = "multipart/form-data; boundary=B", end: bytes = b"--B--\r\n"
) -> bytes:
    return http(f"POST {path}", b"".join(parts) + end, content_type)


def picture_part(data: bytes = PICTURE, name: str = "image", filename: str = "a.png") -> bytes:
    return part(f'form-data; name="{name}"; filename="{filename}"', data, "Content-Type: image/png")


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png_of_size(width: int, height: int) -> bytes:
    """A header that promises that many pixels, and no pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def gif() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="GIF")
    return buffer.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
NO_ID = "00000000-0000-4000-8000-000000000000"
IMAGES = [
    Row("an empty picture", 422, form_to("/analyze", picture_part(b""))),
    Row("half a PNG", 422, form_to("/analyze", picture_part(PICTURE[: len(PICTURE) // 2]))),
    Row("a PNG with a broken checksum", 422, form_to("/analyze", picture_part(PICTURE[:20] + b"\xff" + PICTURE[21:]))),
    Row("a PNG that promises 2.5 gigapixels", 413, form_to("/analyze", picture_part(png_of_size(50_000, 50_000)))),
    Row("a PNG of no width", 422, form_to("/analyze", picture_part(png_of_size(0, 8)))),
    Row("a PNG of one pixel by 8,000", 422, form_to("/analyze", picture_part(png_of_size(1, 8_000)))),
    Row("a GIF called PNG", 415, form_to("/analyze", picture_part(gif()))),
    Row("an SVG that wants a file", 415, form_to("/analyze", picture_part(SVG))),
    Row("a script called PNG", 415, form_to("/analyze", picture_part(b"#!/bin/sh\nid\n"))),
    Row("a picture as base64 of nothing", 422, generate(image="")),
    Row("a picture as base64 of no picture", 415, generate(image=base64_of(b"x" * 100))),
    Row("what is not base64", 422, generate(image="%%%")),
    Row("a picture at an address", 422, generate(image="http://127.0.0.1:1/a.png")),
    Row("a picture in a file of ours", 422, generate(image="file:///etc/passwd")),
    Row("a data URL of a page", 422, generate(image="data:text/html;base64," + base64_of(b"<script>"))),
]
TEXTS = [
    Row("no words", 422, generate(prompt="")),
    Row("a NUL", 422, generate(prompt="a\x00b")),
    Row("an escape sequence", 422, generate(prompt="\x1b[2J")),
    Row("half a surrogate pair", 400, json_to("/generate", b'{"prompt": "\\ud800"}')),
    Row("2,001 characters", 422, generate(prompt="x" * 2_001)),
    Row("2,000 characters of four bytes", (200, 422), generate(prompt="\U0001f600" * 2_000)),
    Row("a thousand open brackets", (200, 422), generate(prompt="(" * 1_000)),
    Row("a prompt that is a list", 422, generate(prompt=["a"])),
    Row("SQL in a search", 200, http("GET /images?search=%27%3B+DROP+TABLE+images%3B--")),
    Row("a NUL in a search", 422, http("GET /images?search=a%00b")),
    Row(
        "SQL in a note",
        404,
        json_to("/feedback", {"image_id": NO_ID, "feedback": 1, "note": "'; DROP TABLE images;--"}),
    ),
]
NUMBERS = [
    Row("a number as text", 422, generate(steps="20")),
    Row("true for a number", 422, generate(steps=True)),
    Row("half a step", 422, generate(steps=1.5)),
    Row("no step", 422, generate(steps=0)),
    Row("minus one step", 422, generate(steps=-1)),
    Row("more steps than an INT32 has", 422, generate(steps=2**31)),
    Row("a seed beyond SQL", 422, generate(seed=2**63)),
    Row("a width of minus 8", 422, generate(width=-8)),
    Row("a gigapixel", 422, generate(width=32_768, height=32_768)),
    Row("NaN", 400, json_to("/generate", b'{"prompt": "a", "guidance_scale": NaN}')),
    Row("infinity", 400, json_to("/generate", b'{"prompt": "a", "guidance_scale": 1e999}')),
    Row("5,000 digits", 400, json_to("/generate", b'{"prompt": "a", "steps": ' + b"9" * 5_000 + b"}")),
    Row("a page of minus one", 422, http("GET /images?limit=-1")),
    Row("a time beyond SQL", 422, http("GET /images?from_ms=99999999999999999999")),
    Row("a number that is Arabic", 422, http("GET /images?limit=%D9%A1%D9%A2x")),
]
JSON = [
    Row("no JSON", 400, json_to("/generate", b"prompt=a")),
    Row("half of it", 400, json_to("/generate", b'{"prompt": "a"')),
    Row("two documents", 400, json_to("/generate", b'{"prompt": "a"}{"prompt": "b"}')),
    Row("a key twice", 400, json_to("/generate", b'{"prompt": "a", "prompt": "b"}')),
    Row("200,000 brackets", 400, json_to("/generate", b"[" * 200_000)),
    Row("2,001 values", 400, json_to("/generate", json.dumps([0] * 2_001).encode())),
    Row("UTF-16", 400, json_to("/generate", '{"prompt": "a"}'.encode("utf-16"))),
    Row("a byte order mark", 400, json_to("/generate", b'\xef\xbb\xbf{"prompt": "a"}')),
    Row("overlong UTF-8", 400, json_to("/generate", b'{"prompt": "\xc0\xaf"}')),
    Row("a field that is none", 422, generate(**{"x" * 1_000: 1})),
    Row("__proto__", 422, generate(__proto__={"admin": True})),
    Row("null", 422, json_to("/generate", b"null")),
    Row("a list", 422, json_to("/generate", b"[]")),
]
IDS = [
    Row("a path for an id", (404, 405), http("GET /images/..%2f..%2fetc%2fpasswd")),
    Row("a path in the address", 404, http("GET /images/../../etc/passwd")),
    Row("an id of nothing but percent signs", (400, 404), http("GET /images/%%%")),
    Row("an id that is half a letter", 404, http("GET /images/%ff%fe/file")),
    Row("an id of 5,000 letters", 404, http(f"GET /images/{'x' * 5_000}")),
    Row("an id of somebody, perhaps", 404, http(f"GET /images/{NO_ID}/file")),
    Row("a job with a path", (404, 405), http("GET /jobs/..%2f..%2fetc")),
    Row("a model with a path", 404, generate(model="../../etc/passwd")),
    Row("a model with a long name", (404, 422), generate(model="x" * 65)),
    Row("a cursor of our own making", 422, http(f"GET /images?cursor={base64_of(b'x' * 90).rstrip('=')}")),
    Row(
        "a cursor that is JSON",
        422,
        http(f"GET /images?cursor={base64_of(json.dumps([2**70, 'x']).encode()).rstrip('=')}"),
    ),
]
FORMS = [
    Row("no boundary", 400, form_to("/analyze", picture_part(), content_type="multipart/form-data")),
    Row("an empty boundary", 400, form_to("/analyze", picture_part(), content_type="multipart/form-data; boundary=")),
    Row(
        "another boundary",
        (400, 404),
        form_to("/analyze", picture_part(), content_type="multipart/form-data; boundary=C"),
    ),
    Row("a form that is cut off", 400, form_to("/analyze", picture_part(), end=b"")),
    Row(
        "a boundary of 5,000 letters",
        (400, 404),
        form_to("/analyze", picture_part(), content_type=f"multipart/form-data; boundary={'x' * 5_000}"),
    ),
    *(
        Row(
            f"a form in the charset {charset}",
            400,
            form_to("/analyze", picture_part(), content_type=f"multipart/form-data; boundary=B; charset={charset}"),
        )
        for charset in ("utf-99", "undefined", "punycode", "idna")
    ),
    Row("a part without a name", 400, form_to("/analyze", part("form-data"))),
    Row("a part without a disposition", 400, form_to("/analyze", b"--B\r\n\r\nx\r\n")),
    Row("two pictures", 400, form_to("/analyze", picture_part(), picture_part(name="file"))),
    Row(
        "a field twice",
        400,
        form_to("/analyze", picture_part(), part('form-data; name="top"', b"1"), part('form-data; name="top"', b"2")),
    ),
    Row("33 fields", 400, form_to("/analyze", *(part(f'form-data; name="f{number}"') for number in range(33)))),
    Row(
        "a field of 100 kB", 400, form_to("/analyze", picture_part(), part('form-data; name="labels"', b"x" * 100_000))
    ),
    Row(
        "a part with 10,000 headers",
        400,
        form_to("/analyze", part('form-data; name="a"', b"x", *("X: y" for _ in range(10_000)))),
    ),
    Row(
        "a part with a header of 100 kB",
        400,
        form_to("/analyze", part('form-data; name="a"', b"x", "X: " + "y" * 100_000)),
    ),
    Row("a filename that climbs", 200, form_to("/analyze", picture_part(filename="../../../etc/passwd"))),
    Row("a filename of 5,000 letters", (200, 400), form_to("/analyze", picture_part(filename="x" * 5_000))),
    Row("a filename with a NUL", (200, 400), form_to("/analyze", picture_part(filename="a\x00.png"))),
    Row(
        "a filename in an odd charset",
        (200, 400, 422),
        form_to("/analyze", part("form-data; name=\"image\"; filename*=utf-99''a%ff", PICTURE)),
    ),
    Row("a picture in a text field", (404, 422), form_to("/analyze", part('form-data; name="image"', PICTURE))),
    Row("a wish in a file", 422, form_to("/analyze", picture_part(b"1", name="top"))),
    Row("a form where JSON is wanted", 415, form_to("/generate", part('form-data; name="prompt"'))),
    Row(
        "a form without an end to its head", 400, form_to("/analyze", b"--B\r\nContent-Disposition: form-data", end=b"")
    ),
]
BIG = b'{"prompt": "a red circle", "steps": 1, "analyze": false}'
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BIG), BIG)
ENCODINGS = [
    Row("gzip", 415, http("POST /generate", zlib.compress(BIG), "application/json", "Content-Encoding: gzip")),
    Row(
        "an encoding of two layers",
        415,
        http("POST /generate", BIG, "application/json", "Content-Encoding: identity, br"),
    ),
    Row("identity", 200, http("POST /generate", BIG, "application/json", "Content-Encoding: identity")),
    Row("another charset", 415, http("POST /generate", BIG, "application/json; charset=utf-7")),
    Row("a charset that breaks libraries", 415, http("POST /generate", BIG, "application/json; charset*=%00'en'x")),
    Row("two content types", 400, http("POST /generate", BIG, "application/json", "Content-Type: text/plain")),
    Row("no content type", 415, http("POST /generate", BIG)),
    Row("chunks", 200, http("POST /generate", b"", "application/json", "Transfer-Encoding: chunked") + CHUNKED),
    Row(
        "chunks with a lie",
        400,
        http("POST /generate", b"", "application/json", "Transfer-Encoding: chunked") + b"zz\r\n",
    ),
    Row(
        "chunks of minus one",
        400,
        http("POST /generate", b"", "application/json", "Transfer-Encoding: chunked") + b"-1\r\n",
    ),
    Row(
        "chunks with a length as well",
        400,
        http("POST /generate", b"", "application/json", "Content-Length: 3", "Transfer-Encoding: chunked") + CHUNKED,
    ),
    Row(
        "a transfer encoding of two layers",
        400,
        http("POST /generate", b"", "application/json", "Transfer-Encoding: gzip, chunked") + CHUNKED,
    ),
    Row("two lengths", 400, http("POST /generate", BIG, "application/json", "Content-Length: 1")),
    Row("a length of minus one", 400, http("POST /generate", b"", "application/json", "Content-Length: -1")),
    Row("a length with a plus", 400, http("POST /generate", b"", "application/json", "Content-Length: +5") + BIG),
    Row(
        "a length of 30 digits",
        (400, 413),
        http("POST /generate", b"", "application/json", f"Content-Length: {'9' * 30}"),
    ),
    Row("a length over the limit", 413, http("POST /generate", b"", "application/json", "Content-Length: 16000000")),
    Row(
        "a body shorter than its JSON", 400, http("POST /generate", b"", "application/json", "Content-Length: 9") + BIG
    ),
    Row("a body where none belongs", 200, http("GET /images", b"x" * 100, "text/plain")),
]
HEADS = [
    Row("101 headers", 431, http("GET /images", b"", None, *(f"X-{number}: y" for number in range(101)))),
    Row("a header of 20 kB", 431, http("GET /images", b"", None, "X-Long: " + "y" * 20_000)),
    Row("an address of 9 kB", 414, http(f"GET /images?search={'x' * 9_000}")),
    Row("an address of 20 kB", (414, 431), http(f"GET /images?search={'x' * 20_000}")),
    Row("101 fields of a query", 400, http("GET /images?" + "&".join(f"f{number}=1" for number in range(101)))),
    Row("a field of a query twice", 400, http("GET /images?limit=1&limit=2")),
    Row("a field twice, once in disguise", 400, http("GET /images?limit=1&li%6dit=2")),
    Row("a field of a query that is none", 422, http("GET /images?sort=name")),
    Row("a query that is not UTF-8", 400, http("GET /images?search=%ff")),
    Row("a header split by a bare line feed", 400, b"GET /images HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\rb\r\n\r\n"),
    Row(
        "a folded header",
        (200, 400),
        b"GET /images HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX: a\r\n b\r\n\r\n",
    ),
    Row("a space before the colon", 400, b"GET /images HTTP/1.1\r\nHost: 127.0.0.1\r\nX : a\r\n\r\n"),
    Row("a NUL in a header", 400, b"GET /images HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\0b\r\n\r\n"),
    Row("no host", 400, http("GET /images", host=False)),
    Row("two hosts", 400, http("GET /images", b"", None, "Host: evil.example")),
    Row("another host", 421, http("GET /images", b"", None, "Host: evil.example", host=False)),
    Row("HTTP/1.0 without a host", 200, b"GET /health/live HTTP/1.0\r\n\r\n"),
    Row("HTTP/2's preface", (400, 505), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Row("TLS", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    Row("a method of our own making", (405, 501), http("BREW /generate")),
    Row("TRACE", 405, http("TRACE /generate")),
    Row("a method with a long name", (400, 405), http(f"{'X' * 5_000} /generate")),
    Row("an absolute address", (200, 404), http("GET http://evil.example/images")),
    Row("no address", (400, 404), http("GET")),
    Row("an address of letters beyond ASCII", 400, http("GET /\xff")),
    Row("a wrong cookie", 200, http("GET /images", b"", None, "Cookie: triptych_session=../../x; =; ;;")),
    Row("a key of our own making", 401, http("GET /images", b"", None, f"Authorization: Bearer tt_{'x' * 43}")),
    Row("a key of 10 kB", 401, http("GET /images", b"", None, f"Authorization: Bearer tt_{'x' * 10_000}")),
    Row(
        "a websocket",
        (200, 400),
        http("GET /images", b"", None, "Upgrade: websocket", "Connection: Upgrade", closes=False) + b"\0",
    ),
]
TABLE = [*IMAGES, *TEXTS, *NUMBERS, *JSON, *IDS, *FORMS, *ENCODINGS, *HEADS]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    server = LiveServer(tmp_path_factory.mktemp("state"))
    server.start()
    assert server.started.wait(timeout=20)
    yield int(server.address.rpartition(":")[2])
    server.stop()


def answer_to(port: int, sent: bytes) -> tuple[int, str]:
    """Everything that comes until the server closes: the first answer's status, and all of it as text."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert received, "no answer at all"
    return int(received.split(b" ", 2)[1]), received.decode("utf-8", "replace")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_hostile_input_gets_its_status_and_no_story(port: int, row: Row) -> None:
    status, text = answer_to(port, row.sent)
    assert status in (row.status if isinstance(row.status, tuple) else (row.status,)), text[:800]
    if status >= 400:
        body = text.partition("\r\n\r\n")[2]
        assert [word for word in (*STORIES, LONGEST_ECHO) if word in body] == []
    assert answer_to(port, http("GET /health/live"))[0] == 200


def test_the_table_is_as_long_as_promised() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE) >= 60
