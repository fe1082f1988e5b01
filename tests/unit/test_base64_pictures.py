"""Base64 is read in pieces, and is as strict as if it were read at once."""

import asyncio
import base64

import pytest

from modelcore.errors import InvalidInput
from orchestrator.pictures import base64_pictures
from orchestrator.pictures.base64_pictures import decode_base64, read_base64_picture


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base64_pictures, "_PIECE_CHARACTERS", 8)


@pytest.mark.parametrize("length", range(40))
async def test_pieces_make_the_whole(length: int) -> None:
    data = bytes(range(length))
    assert await decode_base64("begin:" + base64.b64encode(data).decode(), begin=6) == data


@pytest.mark.parametrize(
    "text", ["QUJDREVG" * 2 + "Q", "QUJDREU=QUJD", "QUJDRA==QUJD", "QUJDREVGQQ", "QUJDREVG=", "QUJDREVG\n", "QUJDREVGé"]
)
async def test_what_is_not_base64_is_refused_wherever_it_stands(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - Python's own, of many words
        await decode_base64(text)
    with pytest.raises(InvalidInput, match="must be base64"):
        await read_base64_picture(text, "image")


async def test_others_are_served_between_the_pieces() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await decode_base64("QUJDREVG" * 10)
    counting.cancel()
    assert turns >= 9
