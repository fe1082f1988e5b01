"""The line protocol to Triton's supervisor, over a real Unix socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modelcore.errors import Unavailable
from orchestrator.watchdog.supervisor import Supervisor


@asynccontextmanager
async def answering(socket: Path, answer: bytes) -> AsyncIterator[list[bytes]]:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_unix_server(serve, socket):
        yield heard


async def test_each_command_is_one_line(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path / "s", restart_deadline_s=5)
    async with answering(tmp_path / "s", b"ok\n") as heard:
        await supervisor.kill_stub("clip_text")
        await supervisor.restart()
    assert heard == [b"kill-stub clip_text\n", b"restart\n"]


@pytest.mark.parametrize("answer", [b"error: no such stub\n", b"", b"\xff\n"])
async def test_anything_but_ok_is_unavailable(tmp_path: Path, answer: bytes) -> None:
    async with answering(tmp_path / "s", answer):
        with pytest.raises(Unavailable):
            await Supervisor(tmp_path / "s", restart_deadline_s=5).restart()


async def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await Supervisor(tmp_path / "s", restart_deadline_s=5).restart()


async def test_a_silent_supervisor_is_given_up(tmp_path: Path) -> None:
    hung_up = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    async with await asyncio.start_unix_server(say_nothing, tmp_path / "s"):
        with pytest.raises(Unavailable):
            await Supervisor(tmp_path / "s", restart_deadline_s=0.05).restart()
        await asyncio.wait_for(hung_up.wait(), timeout=5)
