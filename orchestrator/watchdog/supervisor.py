"""Talks to the process that started Triton, over a Unix socket: one line there, one line back."""

import asyncio
from contextlib import suppress
from pathlib import Path

from modelcore.errors import Unavailable

_OK = "ok"
_KILL_DEADLINE_S = 10.0


class Supervisor:
    def __init__(self, socket: Path, restart_deadline_s: float) -> None:
        """A restart is answered when the models are loaded, which takes what it takes."""
        self._socket = socket
        self._restart_deadline_s = restart_deadline_s

    async def kill_stub(self, model: str) -> None:
        await self._ask(f"kill-stub {model}", _KILL_DEADLINE_S)

    async def restart(self) -> None:
        await self._ask("restart", self._restart_deadline_s)

    async def _ask(self, command: str, deadline_s: float) -> None:
        try:
            async with asyncio.timeout(deadline_s):
                answer = await self._exchange(command)
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"the supervisor does not answer: {error!r}") from error
        if answer != _OK:
            raise Unavailable(f"the supervisor answers {command!r} with {answer!r}")

    async def _exchange(self, command: str) -> str:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        try:
            writer.write(f"{command}\n".encode())
            await writer.drain()
            return (await reader.readline()).decode(errors="replace").strip()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
