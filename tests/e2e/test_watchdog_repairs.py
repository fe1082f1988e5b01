"""A network's process is killed or frozen under load. Nobody hangs, everybody is told, and it heals."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from tests.triptych_process import TriptychProcess, running_triptych

pytestmark = pytest.mark.triton

CLIENTS = 4
BACK_WITHIN_S = 15.0
# Loading CLIP's tower again: a process that imports onnxruntime and reads a small file, on two busy cores.
LOAD_S = 10.0
CLIENT_TIMEOUT_S = 30.0


@dataclass
class Load:
    """What a few clients saw who never stop asking. Fresh words each time: the cache must not hide a dead model."""

    url: str
    answers: list[httpx.Response] = field(default_factory=list)
    slowest_s: float = 0.0
    good: asyncio.Event = field(default_factory=asyncio.Event)
    refused: asyncio.Event = field(default_factory=asyncio.Event)
    counter: int = 0

    async def client(self, session: httpx.AsyncClient) -> None:
        while True:
            self.counter += 1
            started = time.monotonic()
            answer = await session.post(self.url, json={"model": "clip", "input": f"red circle {self.counter}"})
            self.slowest_s = max(self.slowest_s, time.monotonic() - started)
            self.answers.append(answer)
            (self.good if answer.status_code == 200 else self.refused).set()
            if answer.status_code != 200:
                await asyncio.sleep(0.05)  # a client that is told to come back later does not hammer


@pytest.fixture(scope="module")
def triptych_to_hurt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TriptychProcess]:
    with running_triptych(tmp_path_factory.mktemp("hurt")) as triptych:
        yield triptych


def stub_of(triptych: TriptychProcess, model: str) -> int:
    for process in psutil.Process(triptych.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended while we looked
            line = process.cmdline()
            if line and Path(line[0]).name == "triton_python_backend_stub" and f"/{model}/" in line[1]:
                return process.pid
    raise AssertionError(f"no process runs {model}")


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_a_harmed_network_is_back_in_time_and_nobody_hangs(
    triptych_to_hurt: TriptychProcess, harm: signal.Signals
) -> None:
    load = Load(f"http://{triptych_to_hurt.addresses.rest}/v1/embeddings")
    async with httpx.AsyncClient(timeout=CLIENT_TIMEOUT_S) as session, asyncio.TaskGroup() as group:
        clients = [group.create_task(load.client(session)) for _ in range(CLIENTS)]
        await asyncio.wait_for(load.good.wait(), CLIENT_TIMEOUT_S)
        os.kill(stub_of(triptych_to_hurt, "clip_text"), harm)
        harmed_at = time.monotonic()
        await asyncio.wait_for(load.refused.wait(), CLIENT_TIMEOUT_S)
        load.good.clear()
        await asyncio.wait_for(load.good.wait(), CLIENT_TIMEOUT_S)
        back_after_s = time.monotonic() - harmed_at
        for client in clients:
            client.cancel()

    refusals = [answer for answer in load.answers if answer.status_code != 200]
    assert {answer.status_code for answer in refusals} == {503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refusals)
    assert back_after_s < BACK_WITHIN_S + LOAD_S
    assert load.slowest_s < CLIENT_TIMEOUT_S


async def test_repairs_are_counted(triptych_to_hurt: TriptychProcess) -> None:
    async with httpx.AsyncClient(base_url=f"http://{triptych_to_hurt.addresses.rest}") as session:
        metrics = (await session.get("/metrics")).text
    repairs = [line for line in metrics.splitlines() if "watchdog_repairs_total{" in line and 'clip_text"' in line]
    assert repairs
