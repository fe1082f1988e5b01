"""Jobs of the real thing outlive the processes that do them: one server alone, and workers beside it with Redis."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.storage.servers import Redis, free_port, running_redis, wait_until
from tests.triptych_process import PROJECT, Addresses

pytestmark = pytest.mark.triton
TIMEOUT_S = 120.0
# The contract's proportions, in a hurry.
QUICK = {"TRIPTYCH_JOB_LEASE_S": "3", "TRIPTYCH_JOB_HEARTBEAT_S": "1"}
LONG = {"prompt": "a large red circle", "steps": 100, "analyze": False}


@contextlib.contextmanager
def running(arguments: list[str], environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=PROJECT,
        env=os.environ | QUICK | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def serving(environment: dict[str, str]) -> Iterator[tuple["subprocess.Popen[bytes]", httpx.Client]]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        running(["orchestrator"], environment | {"TRIPTYCH_PORT": str(port)}) as process,
        httpx.Client(base_url=url, timeout=TIMEOUT_S) as client,
    ):
        wait_until(lambda: answers(client), "the orchestrator answers")
        yield process, client


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def environment_of(triptych: Addresses, state: Path, redis: Redis | None = None) -> dict[str, str]:
    known = {"TRIPTYCH_TRITON_ADDRESS": triptych.triton_grpc, "TRIPTYCH_STATE_FOLDER": str(state)}
    return known | ({"TRIPTYCH_REDIS_URL": redis.url} if redis else {})


def events(client: httpx.Client, job: Any, after: int = 0) -> Iterator[tuple[int, str, Any]]:
    """As they come."""
    headers = {"Last-Event-ID": str(after)} if after else {}
    with client.stream("GET", job["events_url"], headers=headers) as answer:
        number, name = 0, ""
        for line in answer.iter_lines():
            field, _, value = line.partition(": ")
            if field == "id":
                number = int(value)
            elif field == "event":
                name = value
            elif field == "data":
                yield number, name, json.loads(value)


def submitted(client: httpx.Client) -> Any:
    answer = client.post("/jobs", json={"kind": "generate", "request": LONG})
    assert answer.status_code == 202, answer.text
    return answer.json()


def check_done_once(client: httpx.Client, job: Any) -> None:
    """One picture, which is there, decodes, and is the one that the job names."""
    (image,) = client.get("/images").json()["images"]
    assert job["state"] == "completed"
    assert [each["id"] for each in job["result"]["images"]] == [image["id"]]
    with Image.open(io.BytesIO(client.get(image["url"]).content)) as picture:
        picture.load()


def test_a_job_whose_server_is_killed_is_done_once_by_the_next(triptych: Addresses, tmp_path: Path) -> None:
    environment = environment_of(triptych, tmp_path)
    with serving(environment) as (process, client):
        job = submitted(client)
        seen = next(number for number, name, data in events(client, job) if name == "progress" and data["step"])
        process.send_signal(signal.SIGKILL)
        cookies = client.cookies
    with serving(environment) as (_, client):
        client.cookies = cookies
        *rest, (last, name, done) = events(client, job, after=seen)
        assert (name, done["attempt"]) == ("completed", 2)
        assert all(seen < number < last for number, _, _ in rest)
        check_done_once(client, done)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    with running_redis(tmp_path) as server:
        yield server


def test_workers_beside_the_server_do_its_jobs_and_one_of_them_may_die(
    triptych: Addresses, tmp_path: Path, redis_server: Redis
) -> None:
    environment = environment_of(triptych, tmp_path, redis_server)
    with serving(environment) as (_, client):
        job = submitted(client)
        with running(["triptych", "worker"], environment) as doomed:
            next(data for _, name, data in events(client, job) if name == "progress" and data["step"])
            doomed.send_signal(signal.SIGKILL)
            doomed.wait()
        with running(["triptych", "worker"], environment):
            *_, (_, name, done) = events(client, job)
        assert (name, done["attempt"]) == ("completed", 2)
        check_done_once(client, done)
