"""The app in process, on a fake Triton behind a real gRPC socket."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from orchestrator.app import create_app
from orchestrator.settings import Settings
from tests.service.fake_triton import FakeTriton, running_fake_triton

FAMILIES = Path(__file__).parents[2] / "families"


class Serve(Protocol):
    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]: ...


@pytest.fixture
async def fake() -> AsyncIterator[FakeTriton]:
    async with running_fake_triton() as fake:
        yield fake


@pytest.fixture
def serve(fake: FakeTriton, tmp_path: Path) -> Serve:
    """Start an app with settings of your own: `async with serve(body_limit_bytes=10) as client`."""

    @asynccontextmanager
    async def serve(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        given = {"triton_address": fake.address, "state_folder": tmp_path, "families_folder": FAMILIES}
        app = create_app(Settings(**given | settings))
        transport = httpx.ASGITransport(app)
        client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        async with app.router.lifespan_context(app), client:
            yield client

    return serve


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with serve() as client:
        yield client
