"""The app on a real socket, with a fake Triton, for clients that are not async or not even HTTP."""

import asyncio
import threading
from pathlib import Path

import uvicorn

from orchestrator.app import create_app
from orchestrator.edge.connection import ConnectionRules, bounded_connections
from orchestrator.settings import Settings
from tests.service.fake_triton import running_fake_triton


class LiveServer(threading.Thread):
    """uvicorn and the fake Triton on an event loop of their own, since schemathesis is not async."""

    def __init__(self, state_folder: Path) -> None:
        super().__init__(name="server")
        self._state_folder = state_folder
        self.address = ""
        self.started = threading.Event()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        async with running_fake_triton() as fake:
            app = create_app(Settings(triton_address=fake.address, state_folder=self._state_folder))
            http = bounded_connections(ConnectionRules(limit=100, head_deadline_s=60))
            config = uvicorn.Config(app, port=0, http=http, ws="none", log_config=None, access_log=False)
            self._uvicorn = uvicorn.Server(config)
            serving = asyncio.create_task(self._uvicorn.serve())
            while not self._uvicorn.started:
                await asyncio.sleep(0)
            host, port = self._uvicorn.servers[0].sockets[0].getsockname()
            self.address = f"http://{host}:{port}"
            self.started.set()
            await serving

    def stop(self) -> None:
        self._uvicorn.should_exit = True
        self.join()
