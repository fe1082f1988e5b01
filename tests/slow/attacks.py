"""What an attacker sends by the hundred or by the megabyte, each as a function of the service's port.

Each says by which statuses it was answered, 0 for a connection that was closed without an answer or left by us. The
senders think ahead and send bytes, so that they take little of a machine that they share with what they attack.
"""

import base64
import contextlib
import io
import json
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image

from tests.service.test_hostile_inputs import TABLE, Row, answer_to, form_to, http, json_to, part, picture_part

Statuses = Counter[int]
Attack = Callable[[int], Statuses]
MANY, SLOW, SUBMITS = 200, 220, 300
LARGE = 9_500_000
# The longest work that one request may ask for: nobody waits for it.
LONG = {"prompt": "a red circle", "steps": 50, "num_images": 8, "preview_every": 1, "analyze": False}
SHORT = {"prompt": "a red circle", "steps": 2, "analyze": False, "segment": False}
PATIENCE_S = 30.0


def hostile_rows(port: int) -> Statuses:
    """The table of the hostile inputs, eight at a time; a status that the table does not promise fails."""
    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(lambda row: _answered_as_promised(port, row), TABLE))


def large_json(port: int) -> Statuses:
    return _sent_by(4, port, _LARGE_JSON)


def large_pictures_in_json(port: int) -> Statuses:
    return _sent_by(4, port, _PICTURES_IN_JSON)


def large_forms(port: int) -> Statuses:
    return _sent_by(4, port, _LARGE_FORMS)


def chunks_of_one_byte(port: int) -> Statuses:
    head = http("POST /generate", b"", "application/json", "Transfer-Encoding: chunked")
    return _sent_by(2, port, [head + b"1\r\na\r\n" * 200_000 + b"0\r\n\r\n"] * 2)


def pages(port: int) -> Statuses:
    """The first round's is the first time that anybody asks for them."""
    return _at_once(port, [http(f"GET {path}") for path in ("/openapi.json", "/docs", "/", "/metrics") * 10])


def streams_that_are_left(port: int) -> Statuses:
    request = json_to("/generate", LONG).replace(b"Host:", b"Accept: text/event-stream\r\nHost:", 1)
    with _connected(port, [request] * MANY) as connections:
        time.sleep(2)  # midway
        statuses = Counter(_status_so_far(each) for each in connections)
        for each in connections[::2]:  # every second one slams the door
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return statuses


def slow_connections(port: int) -> Statuses:
    """Bodies and heads that come a byte at a time, refused ones that go on, and streams that nobody reads."""
    body = http("POST /generate", b"", "application/json", "Content-Length: 1000")
    starts = (
        [body] * 120 + [b"GET / HTT"] * 60 + [body.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")] * 40
    )
    assert len(starts) == SLOW
    with _connected(port, starts) as connections:
        for _ in range(60):
            for each in connections:
                with contextlib.suppress(OSError):
                    each.send(b" ")
            time.sleep(0.05)
        return Counter(_status_so_far(each) for each in connections)


def submits(port: int) -> Statuses:
    """All of one caller's, who then withdraws what was accepted."""
    cookie = f"Cookie: triptych_session={os.urandom(16).hex()}"
    submit = _json_with("POST /jobs", {"kind": "generate", "request": SHORT}, cookie)
    answers = _answers_at_once(port, [submit] * SUBMITS)
    accepted = [json.loads(body)["id"] for status, body in answers if status == 202]
    _at_once(port, [http(f"DELETE /jobs/{job_id}", b"", None, cookie) for job_id in accepted])
    return Counter(status for status, _ in answers)


def many_connections(port: int) -> Statuses:
    """More than are let in. They say nothing, then all ask at once."""
    request = http("GET /images")
    with _connected(port, [b""] * 600) as connections:
        for each in connections:
            with contextlib.suppress(OSError):
                each.sendall(request)
        return Counter(_status(_rest(each)) for each in connections)


def analyses(port: int) -> Statuses:
    return _at_once(port, [form_to("/analyze", picture_part(_noise(512, 512)))] * 60)


ATTACKS: Mapping[str, Attack] = {
    "the table of hostile inputs": hostile_rows,
    "JSON of 9.5 MB": large_json,
    "large pictures in JSON": large_pictures_in_json,
    "large forms": large_forms,
    "chunks of one byte": chunks_of_one_byte,
    "/openapi.json, /docs, /, /metrics": pages,
    f"{MANY} streams at once, left midway": streams_that_are_left,
    f"{SLOW} slow connections": slow_connections,
    f"{SUBMITS} jobs at once, withdrawn": submits,
    "600 connections at once": many_connections,
    "60 analyses at once": analyses,
}


def _answered_as_promised(port: int, row: Row) -> int:
    status, text = answer_to(port, row.sent)
    promised = row.status if isinstance(row.status, tuple) else (row.status,)
    assert status in promised, f"{row.name}: {text[:400]}"
    return status


def _json_with(start: str, document: Any, *headers: str) -> bytes:
    return http(start, json.dumps(document).encode(), "application/json", *headers)


def _noise(width: int, height: int) -> bytes:
    """A PNG that does not compress."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (width, height), os.urandom(width * height * 3)).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def _in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _large_json() -> Iterator[bytes]:
    texts = {
        "letters": b"a" * LARGE,
        "quotes": b'\\"' * (LARGE // 2),
        "codes": b"\\u0041" * (LARGE // 6),
        "accents": "é".encode() * (LARGE // 2),
        "tabs": b"\\t" * (LARGE // 2),
    }
    for text in texts.values():
        yield json_to("/generate", b'{"prompt": "%s"}' % text)
    yield json_to("/v1/embeddings", b'{"input": "%s"}' % texts["letters"])
    yield json_to("/jobs", b'{"kind": "generate", "request": {"prompt": "%s"}}' % texts["accents"])
    yield json_to("/analyze", b'{"labels": ["%s"]}' % texts["letters"])
    yield json_to("/generate", b'{"prompt": "a", "image": "%s"}' % texts["letters"])
    yield json_to("/generate", b'{"prompt": "a", "%s": 1}' % texts["letters"])
    yield json_to("/generate", b'{"prompt": "a", "steps": %s}' % (b"9" * LARGE))
    yield json_to("/generate", b'{"prompt": "a", "strength": 0.%s}' % (b"1" * LARGE))
    yield json_to("/generate", b'{"prompt": %s"a"}' % (b" " * LARGE))


def _pictures_in_json() -> Iterator[bytes]:
    picture = _in_base64(_noise(1536, 1536))  # 9.4 MB
    yield json_to("/generate", {**SHORT, "image": picture})
    yield json_to("/generate", {**SHORT, "image": picture[: len(picture) // 2]})
    yield json_to("/jobs", {"kind": "generate", "request": {**SHORT, "image": f"data:image/png;base64,{picture}"}})
    yield json_to("/v1/embeddings", {"input": [{"image": f"data:image/png;base64,{picture}"}]})
    small = f"data:image/png;base64,{_in_base64(_noise(96, 96))}"
    yield json_to("/v1/embeddings", {"input": [{"image": small}] * 256})


def _large_forms() -> Iterator[bytes]:
    yield form_to("/analyze", picture_part(_noise(1900, 1900)))  # 10.8 MB
    yield form_to("/analyze", picture_part(b"\r\n" * (LARGE // 2)))
    yield form_to("/analyze", picture_part(b"\r\n--" * (LARGE // 4)))
    yield form_to("/analyze", picture_part(b"x" * LARGE))
    yield form_to("/analyze", part('form-data; name="top"', b"1", "X-Long: " + "y" * LARGE))
    yield form_to("/analyze", *[part('form-data; name="top"', b"1")] * 100_000)
    yield form_to("/v1/images/edits", *(part(f'form-data; name="f{each}"', b"x" * 64_000) for each in range(64)))


_LARGE_JSON = list(_large_json())
_PICTURES_IN_JSON = list(_pictures_in_json())
_LARGE_FORMS = list(_large_forms())


def _sent_by(senders: int, port: int, requests: Sequence[bytes]) -> Statuses:
    """By so many at the same time."""
    with ThreadPoolExecutor(senders) as pool:
        return Counter(pool.map(lambda request: _status_of(port, request), requests))


def _status_of(port: int, request: bytes) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was sent
            connection.sendall(request)
        return _status(_rest(connection))


def _at_once(port: int, requests: Sequence[bytes]) -> Statuses:
    return Counter(status for status, _ in _answers_at_once(port, requests))


def _answers_at_once(port: int, requests: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """Each on a connection of its own: all are sent before the first answer is read."""
    with _connected(port, requests) as connections:
        answers = [_rest(each) for each in connections]
    return [(_status(answer), answer.partition(b"\r\n\r\n")[2]) for answer in answers]


@contextlib.contextmanager
def _connected(port: int, starts: Iterable[bytes]) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        connections = []
        for start in starts:
            connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
            connections.append(stack.enter_context(connection))
            connection.sendall(start)
        yield connections


def _rest(connection: socket.socket) -> bytes:
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65_536):
            received += data
    return bytes(received)


def _status_so_far(connection: socket.socket) -> int:
    connection.setblocking(False)
    try:
        return _status(connection.recv(64))
    except OSError:
        return 0


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0
