"""A form is parsed in pieces, and others are served in between."""

import asyncio

import pytest
from python_multipart.multipart import MultipartParser
from starlette.requests import Request
from starlette.types import Message

from orchestrator.edge.form_body import opened_form

PART = b'--B\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n%s\r\n--B--\r\n'
DATA = b"\r\n--" * 100_000


async def test_others_are_served_between_the_pieces_of_a_large_form(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, int]] = []  # the turn, and how many bytes
    turn = 0

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def receive() -> Message:
        return {"type": "http.request", "body": PART % DATA, "more_body": False}

    write = MultipartParser.write
    monkeypatch.setattr(
        MultipartParser, "write", lambda parser, data: (written.append((turn, len(data))), write(parser, data))[1]
    )
    headers = [(b"content-type", b"multipart/form-data; boundary=B")]
    counting = asyncio.create_task(count())
    async with opened_form(Request({"type": "http", "headers": headers}, receive), most_files=1, most_fields=1) as form:
        file = form["image"]
        assert not isinstance(file, str)
        assert await file.read() == DATA
    counting.cancel()
    assert max(size for _, size in written) <= 64 * 1024
    assert len({turn for turn, size in written if size}) == len([size for _, size in written if size])
