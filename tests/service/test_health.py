"""Health, readiness with its differences, /model/info, and the front door."""

import httpx

from modelcore.catalog import CATALOG
from tests.service.conftest import Serve
from tests.service.fake_triton import FakeTriton, hangs


async def test_ready_when_everything_is_as_the_catalog_says(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


async def test_each_difference_is_named(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    fake.configs["clip_text"].max_batch_size = 8
    fake.configs["clip_image"].output[0].name = "vector"
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.json()["detail"] == (
        "not ready: clip_text: max_batch_size is 8, the catalog says 64; "
        "clip_image: output embedding is missing; clip_image: output vector is not in the catalog"
    )


async def test_a_model_that_is_not_loaded_is_named(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    del fake.configs["clip_text"]
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["detail"]) == (503, "not ready: clip_text: not ready")


async def test_not_ready_without_triton_but_alive(serve: Serve) -> None:
    async with serve(triton_address="127.0.0.1:1") as client:
        statuses = [(await client.get(f"/health/{path}")).status_code for path in ("ready", "live")]
    assert statuses == [503, 200]


async def test_the_summary_has_each_models_state(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    del fake.configs["clip_text"]
    answer = (await client.get("/health")).json()
    assert answer["status"] == "degraded"
    assert [model["name"] for model in answer["models"] if not model["ready"]] == ["clip_text"]


async def test_model_info_lists_versions_and_tensors(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/model/info")).json()
    assert [model["name"] for model in answer["models"]] == [model.name for model in CATALOG]
    assert answer["models"][0]["versions"] == ["1"]
    assert answer["models"][0]["inputs"][0]["data_type"] == "BYTES"


async def test_the_front_door_lists_the_endpoints(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/")).json()
    paths = {endpoint["path"] for endpoint in answer["endpoints"]}
    assert {"/", "/health", "/model/info", "/v1/embeddings"} <= paths


async def test_a_hung_model_does_not_hang_health(serve: Serve, fake: FakeTriton) -> None:
    fake.scripts["clip_text"] = hangs
    async with serve() as client:
        assert (await client.get("/health")).status_code == 200


async def test_readiness_is_not_remembered(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    statuses = [(await client.get("/health/ready")).status_code]
    config = fake.configs.pop("clip_text")
    statuses.append((await client.get("/health/ready")).status_code)
    fake.configs["clip_text"] = config
    statuses.append((await client.get("/health/ready")).status_code)
    assert statuses == [200, 503, 200]
