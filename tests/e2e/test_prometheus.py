"""Both servers' metrics, read by the real promtool and scraped by the real Prometheus."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.triptych_process import Addresses

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Debian's `prometheus` is not installed"),
]

SCRAPED_WITHIN_S = 30.0


@pytest.fixture
def prometheus(triptych: Addresses, tmp_path: Path) -> Iterator[str]:
    targets = {"triton": triptych.triton_metrics, "orchestrator": triptych.rest}
    jobs = [{"job_name": name, "static_configs": [{"targets": [address]}]} for name, address in targets.items()]
    config = tmp_path / "prometheus.yml"
    config.write_text(json.dumps({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(20)


def query(address: str, expression: str) -> dict[str, float]:
    """Job -> value; empty until Prometheus is up and has scraped."""
    try:
        answer = httpx.get(f"http://{address}/api/v1/query", params={"query": expression})
    except httpx.TransportError:
        return {}
    results = answer.json()["data"]["result"] if answer.status_code == 200 else []
    return {result["metric"]["job"]: float(result["value"][1]) for result in results}


def test_a_real_prometheus_scrapes_both_servers(prometheus: str) -> None:
    deadline = time.monotonic() + SCRAPED_WITHIN_S
    while (up := query(prometheus, "up")) != {"triton": 1.0, "orchestrator": 1.0}:
        assert time.monotonic() < deadline, f"scraped so far: {up}"
        time.sleep(0.1)  # Prometheus has no way to tell us; it scrapes once a second


def promtool_check(address: str) -> "subprocess.CompletedProcess[str]":
    metrics = httpx.get(f"http://{address}/metrics").raise_for_status().text
    command = ["promtool", "check", "metrics"]
    return subprocess.run(command, input=metrics, capture_output=True, text=True, check=False, timeout=30)


def test_our_metrics_pass_promtool(triptych: Addresses) -> None:
    httpx.post(f"http://{triptych.rest}/v1/embeddings", json={"model": "clip", "input": "counted"}).raise_for_status()
    checked = promtool_check(triptych.rest)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_promtool_reads_tritons_metrics_and_minds_only_nvidias_names(triptych: Addresses) -> None:
    checked = promtool_check(triptych.triton_metrics)
    complaints = re.compile(r"nv_\w+ .*(suffix|abbreviated units)")
    assert checked.returncode in (0, 3)  # 1 would be: cannot be parsed; 3 is: parsed, but a name is not to its taste
    assert all(complaints.fullmatch(line) for line in checked.stderr.splitlines()), checked.stderr
