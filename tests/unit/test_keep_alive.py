"""Comments that keep a silent stream open."""

import asyncio
from collections.abc import AsyncGenerator

from orchestrator.edge.event_stream import event, with_keep_alive


async def test_a_pause_is_filled_with_comments_and_nothing_is_lost() -> None:
    goes_on = asyncio.Event()

    async def events() -> AsyncGenerator[str, None]:
        await goes_on.wait()
        yield event("completed", {}, event_id=7)

    kept = with_keep_alive(events(), every_s=0.01)
    first = await anext(kept)
    goes_on.set()
    rest = [text async for text in kept]
    assert first == ": still here\n\n"
    assert [text for text in rest if not text.startswith(":")] == ["id: 7\nevent: completed\ndata: {}\n\n"]


async def test_closing_it_ends_the_source_wherever_it_waits() -> None:
    is_closed = asyncio.Event()

    async def events() -> AsyncGenerator[str, None]:
        try:
            await asyncio.Event().wait()
            yield ""
        finally:
            is_closed.set()

    kept = with_keep_alive(events(), every_s=0.01)
    await anext(kept)
    await kept.aclose()
    assert is_closed.is_set()
