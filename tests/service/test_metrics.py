"""/metrics: names and labels, and Prometheus's own opinion of them."""

import shutil
import subprocess

import grpc
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelcore.catalog import CATALOG
from tests.service.fake_triton import FakeTriton, refuses


async def samples(client: httpx.AsyncClient, name: str) -> dict[tuple[str, ...], float]:
    """Label values, in the order of their names, to the value of each sample."""
    text = (await client.get("/metrics")).text
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


async def test_requests_are_counted_by_template_not_by_path(client: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/api/health/live", "/nothing", "/something/else"):
        await client.get(path)
    await client.request("BREW", "/pot")
    assert await samples(client, "triptych_http_requests_total") == {
        ("GET", "/health/live", "200"): 2.0,
        ("GET", "unmatched", "404"): 2.0,
        ("OTHER", "unmatched", "404"): 1.0,
    }


async def test_upstream_calls_are_timed_by_model(client: httpx.AsyncClient) -> None:
    await client.post("/v1/embeddings", json={"input": "a"})
    counted = await samples(client, "triptych_upstream_call_duration_seconds_count")
    assert counted == {("clip_text_string",): 1.0}


async def test_upstream_errors_are_counted_by_model_and_code(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    fake.scripts["clip_text_string"] = refuses(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    await client.post("/v1/embeddings", json={"input": "a"})
    counted = await samples(client, "triptych_upstream_errors_total")
    assert counted == {("overloaded", "clip_text_string"): 1.0}


async def test_ready_models_are_counted_at_the_time_of_asking(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    assert await samples(client, "triptych_models_ready") == {(): float(len(CATALOG))}
    del fake.configs["clip_text"]
    assert await samples(client, "triptych_models_ready") == {(): float(len(CATALOG) - 1)}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Debian's prometheus")
async def test_promtool_finds_nothing_to_say(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    await client.post("/v1/embeddings", json={"input": "a"})
    fake.scripts["clip_text_string"] = refuses(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    await client.post("/v1/embeddings", json={"input": "a"})
    text = (await client.get("/metrics")).text
    found = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=30
    )
    assert (found.returncode, found.stdout + found.stderr) == (0, "")
