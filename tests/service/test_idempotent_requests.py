"""`Idempotency-Key` on requests that create something: done once, answered as often as they are sent."""

import asyncio
import uuid
from typing import Any

import grpc
import httpx
import pytest

from modelcore.errors import InvalidInput, Unavailable
from orchestrator.jobs.idempotency import FIELD
from tests.service.conftest import Serve
from tests.service.fake_triton import FakeTriton, refuses
from tests.service.test_generate import STREAMED
from tests.service.test_jobs import ASYNC, ended, submitted
from tests.service.test_picture_endpoints import PICTURE, refusal

KEY = {FIELD: str(uuid.UUID(int=7))}
JOB = {"kind": "generate", "request": {"prompt": "a"}}
WISHES = {"prompt": "a", "analyze": False}
CREATING: dict[str, dict[str, Any]] = {"/generate": WISHES, "/jobs": JOB, "/generate-image": {"story": "a"}}


def paintings(fake: FakeTriton) -> int:
    return sum(name == "demo" and "cancel" not in inputs for name, inputs in fake.requests)


async def test_fifty_equal_submits_at_once_are_one_job(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/jobs", json=JOB, headers=KEY) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers].count("true") == 49
    assert len((await client.get("/jobs")).json()["jobs"]) == 1


@pytest.mark.parametrize("path", CREATING)
async def test_the_same_request_again_is_answered_and_not_done_again(
    client: httpx.AsyncClient, fake: FakeTriton, path: str
) -> None:
    first = await client.post(path, json=CREATING[path], headers=KEY)
    if path != "/generate":
        await ended(client, {"id": first.json().get("id") or first.json()["job_id"]})
    again = await client.post(path, json=CREATING[path], headers=KEY)
    assert again.status_code == first.status_code
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    assert paintings(fake) == len((await client.get("/images")).json()["images"]) == 1


async def test_an_answer_is_given_again_with_its_picture(client: httpx.AsyncClient) -> None:
    first, again = [(await client.post("/generate", json={"prompt": "a"}, headers=KEY)).json() for _ in range(2)]
    assert again == first


@pytest.mark.parametrize("path", CREATING)
async def test_another_request_under_the_key_is_refused(client: httpx.AsyncClient, path: str) -> None:
    other = {"/jobs": JOB | {"priority": "batch"}}.get(path, CREATING[path] | {"seed": 8})
    assert (await client.post(path, json=CREATING[path], headers=KEY)).is_success
    assert await refusal(await client.post(path, json=other, headers=KEY)) == (422, "invalid_input", [FIELD])


async def test_while_the_first_is_in_progress_the_second_is_told_so(serve: Serve, fake: FakeTriton) -> None:
    fake.stalls = True
    async with serve(generate_deadline_s=2.0) as client:
        await client.get("/health/live")
        first = asyncio.create_task(client.post("/generate", json=WISHES, headers=KEY))
        await asyncio.wait_for(fake.streamed.wait(), 5)
        second = await client.post("/generate", json=WISHES, headers=KEY)
        assert await refusal(second) == (409, "conflict", [FIELD])
        assert (await first).status_code == 503


async def test_our_failure_gives_the_key_free(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    fake.scripts["demo"] = refuses(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    assert (await client.post("/generate", json=WISHES, headers=KEY)).status_code == 503
    del fake.scripts["demo"]
    answer = await client.post("/generate", json=WISHES, headers=KEY)
    assert (answer.status_code, "Idempotent-Replayed" in answer.headers) == (200, False)


@pytest.mark.parametrize("path", ["/generate", "/v1/images/generations"])
async def test_pictures_and_the_answer_under_a_key_are_written_together(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A crash between the two would leave pictures, and the key free to paint them again."""

    async def crash(*_: object) -> None:
        raise Unavailable("the power is gone")

    with monkeypatch.context() as patched:
        patched.setattr("orchestrator.edge.idempotency.record_answer", crash)
        assert (await client.post(path, json={"prompt": "a"}, headers=KEY)).status_code == 503
    assert (await client.get("/images")).json()["images"] == []
    assert (await client.post(path, json={"prompt": "a"}, headers=KEY)).status_code == 200
    assert len((await client.get("/images")).json()["images"]) == 1


async def test_who_lost_the_key_while_asleep_leaves_no_pictures(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another request has the key by then, and paints for it."""

    async def lost(*_: object) -> bool:
        return False

    monkeypatch.setattr("orchestrator.edge.idempotency.record_answer", lost)
    answer = await client.post("/generate", json=WISHES, headers=KEY)
    assert await refusal(answer) == (409, "conflict", [FIELD])
    assert (await client.get("/images")).json()["images"] == []


async def test_the_callers_mistake_is_told_again(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    message = "the prompt is not for me [invalid_input prompt]"
    fake.scripts["demo"] = refuses(grpc.StatusCode.INVALID_ARGUMENT, message)
    first, again = [await client.post("/generate", json=WISHES, headers=KEY) for _ in range(2)]
    assert (first.status_code, again.status_code, again.headers["Idempotent-Replayed"]) == (422, 422, "true")
    assert again.json() == first.json()
    assert again.headers["content-type"] == "application/problem+json"


async def test_an_answer_whose_picture_was_deleted_cannot_be_given_again(client: httpx.AsyncClient) -> None:
    first = (await client.post("/generate", json=WISHES, headers=KEY)).json()
    await client.delete(f"/images/{first['image_id']}")
    assert (await client.post("/generate", json=WISHES, headers=KEY)).status_code == 404


async def test_a_key_is_for_an_answer_or_for_a_job(client: httpx.AsyncClient) -> None:
    assert (await client.post("/generate", json=WISHES, headers=KEY)).status_code == 200
    assert (await client.post("/generate", json=WISHES, headers=KEY | ASYNC)).status_code == 409
    other = {FIELD: str(uuid.UUID(int=8))}
    assert (await client.post("/generate", json=WISHES, headers=other | ASYNC)).status_code == 202
    assert (await client.post("/generate", json=WISHES, headers=other)).status_code == 409


async def test_a_stream_cannot_be_given_again(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    answer = await client.post("/generate", json=WISHES, headers=KEY | STREAMED)
    assert await refusal(answer) == (422, "invalid_input", [FIELD])
    assert paintings(fake) == 0


async def test_a_form_is_the_same_whatever_its_boundary(client: httpx.AsyncClient) -> None:
    """httpx chooses another for each request."""
    form = {"image": ("a.png", PICTURE, "image/png")}
    jobs = [(await client.post("/segment", files=form, headers=KEY | ASYNC)).json() for _ in range(2)]
    assert jobs[0]["id"] == jobs[1]["id"]


async def test_both_addresses_of_an_endpoint_are_one(client: httpx.AsyncClient) -> None:
    jobs = [(await client.post(path, json=JOB, headers=KEY)).json()["id"] for path in ("/jobs", "/api/jobs")]
    assert jobs[0] == jobs[1]


async def test_a_retry_without_the_cookie_that_was_lost_is_the_same_caller(client: httpx.AsyncClient) -> None:
    first = await client.post("/jobs", json=JOB, headers=KEY)
    client.cookies.clear()
    again = await client.post("/jobs", json=JOB, headers=KEY)
    assert again.json()["id"] == first.json()["id"]
    assert (await client.get(first.json()["url"])).status_code == 200


async def test_from_a_stranger_a_key_must_be_hard_to_guess(client: httpx.AsyncClient) -> None:
    assert await refusal(await client.post("/jobs", json=JOB, headers={FIELD: "1"})) == (422, "invalid_input", [FIELD])
    await submitted(client, {"prompt": "a"})
    assert (await client.post("/jobs", json=JOB, headers={FIELD: "1"})).status_code == 202


async def test_two_keys_on_one_request_are_refused(client: httpx.AsyncClient) -> None:
    headers = [(FIELD, KEY[FIELD]), (FIELD, str(uuid.UUID(int=8)))]
    assert await refusal(await client.post("/jobs", json=JOB, headers=headers)) == (422, InvalidInput.code, [FIELD])
