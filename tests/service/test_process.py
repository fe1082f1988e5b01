"""`python -m orchestrator` as a process: it starts, logs JSON in one pipe, refuses what it must, and stops."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ADDRESS = re.compile(r"http://[\d.]+:(?P<port>\d+)")


@contextmanager
def orchestrator(log_folder: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server without a Triton, and its address on this machine."""
    process = start(
        TRIPTYCH_PORT="0",
        TRIPTYCH_TRITON_ADDRESS="127.0.0.1:1",
        TRIPTYCH_LOG_FOLDER=str(log_folder),
        TRIPTYCH_STATE_FOLDER=str(log_folder / "state"),
        **environment,
    )
    assert process.stdout is not None
    try:
        port = next(match["port"] for line in process.stdout if (match := ADDRESS.search(line)))
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()  # not kill: the last log lines are written after the last answer
        process.communicate(timeout=20)


def start(**environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def log_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "app.log").read_text().splitlines()]


def test_every_line_is_json_and_those_of_a_request_carry_its_id(tmp_path: Path) -> None:
    with orchestrator(tmp_path) as (_, address):
        httpx.post(f"{address}/v1/embeddings", json={"input": "a"}, headers={"X-Request-ID": "mine"})
    lines = log_lines(tmp_path)
    assert {"uvicorn.error", "orchestrator.access"} <= {line["logger"] for line in lines}
    assert {"timestamp", "level", "event"} <= set.intersection(*(set(line) for line in lines))
    of_request = [line["event"] for line in lines if line.get("request_id") == "mine"]
    assert of_request == ["request"]
    assert "Triton cannot be reached" in [line["event"] for line in lines]


def test_it_stops_cleanly_when_told_to(tmp_path: Path) -> None:
    with orchestrator(tmp_path) as (process, _):
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert process.returncode in (0, -signal.SIGTERM)
    assert errors == ""
    assert log_lines(tmp_path)[-1]["event"].startswith("Finished server process")


def test_an_address_that_others_can_reach_is_refused_in_one_line_while_there_is_no_key(tmp_path: Path) -> None:
    process = start(TRIPTYCH_HOST="0.0.0.0", TRIPTYCH_STATE_FOLDER=str(tmp_path))
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1
    assert "refusing to listen on 0.0.0.0" in errors
    assert "`triptych keys create NAME`" in errors


def test_with_a_key_it_listens_where_others_can_reach_it_and_lets_in_its_holder_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "triptych", "keys", f"--state={tmp_path / 'state'}", "create", "Ada"]
    token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with orchestrator(tmp_path, TRIPTYCH_HOST="0.0.0.0") as (_, address):
        statuses = [
            httpx.get(f"{address}/images").status_code,
            httpx.get(f"{address}/images", headers={"Authorization": f"Bearer {token}"}).status_code,
            httpx.get(f"{address}/health/live").status_code,
        ]
    assert statuses == [401, 200, 200]
    assert token not in (tmp_path / "app.log").read_text()


def test_a_family_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    process = start(TRIPTYCH_FAMILIES_FOLDER=str(tmp_path))
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1
    assert "family.toml" in errors
