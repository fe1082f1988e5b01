"""Requests that come together are answered together: shown by Triton's own counters."""

import asyncio

import httpx
import pytest
import tritonclient.grpc

from tests.triptych_process import Addresses

pytestmark = pytest.mark.triton

REQUESTS = 200


def counts(address: str, model: str) -> tuple[int, int]:
    with tritonclient.grpc.InferenceServerClient(address) as client:
        (statistics,) = client.get_inference_statistics(model).model_stats
    return statistics.inference_count, statistics.execution_count


async def test_concurrent_embeddings_share_executions(triptych: Addresses) -> None:
    inferences, executions = counts(triptych.triton_grpc, "clip_text")
    limits = httpx.Limits(max_connections=REQUESTS)
    async with httpx.AsyncClient(base_url=f"http://{triptych.rest}", limits=limits, timeout=60) as session:
        body = [{"model": "clip", "input": f"shared number {index}"} for index in range(REQUESTS)]
        answers = await asyncio.gather(*(session.post("/v1/embeddings", json=each) for each in body))
    assert {answer.status_code for answer in answers} == {200}
    inferences_after, executions_after = counts(triptych.triton_grpc, "clip_text")
    assert inferences_after - inferences >= REQUESTS  # the watchdog's probes count too
    assert (inferences_after - inferences) / (executions_after - executions) > 4


async def test_a_list_of_texts_is_one_execution(triptych: Addresses) -> None:
    _, executions = counts(triptych.triton_grpc, "clip_tokenize")
    async with httpx.AsyncClient(base_url=f"http://{triptych.rest}", timeout=60) as session:
        texts = [f"listed number {index}" for index in range(64)]
        answer = await session.post("/v1/embeddings", json={"model": "clip", "input": texts})
    assert len(answer.json()["data"]) == 64
    # At most one probe of the watchdog may fall into the same moment.
    assert counts(triptych.triton_grpc, "clip_tokenize")[1] - executions <= 2
