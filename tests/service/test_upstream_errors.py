"""What a client sees of Triton's troubles: the right status, when to come back, and none of Triton's words."""

import grpc
import httpx
import pytest

from modelcore.errors import InvalidInput, Overloaded, to_wire
from tests.service.conftest import Serve
from tests.service.fake_triton import FakeTriton, hangs, refuses

SECRET = "/opt/models/secret.py line 7"
Status = grpc.StatusCode


async def embed(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/v1/embeddings", json={"input": "a"})


@pytest.mark.parametrize(
    ("code", "message", "status", "name"),
    [
        (Status.INTERNAL, "Stub process 'clip_text_0_0' is not healthy.", 503, "model_unavailable"),
        (Status.UNAVAILABLE, "Exceeds maximum queue size", 503, "overloaded"),
        (Status.UNAVAILABLE, "Request timeout expired", 503, "overloaded"),
        (Status.UNAVAILABLE, "Request for unknown model: 'x' has no available versions", 503, "model_unavailable"),
        (Status.UNAVAILABLE, "Socket closed", 503, "unavailable"),
        (Status.NOT_FOUND, "Request for unknown model: 'x' is not found", 503, "model_unavailable"),
        (Status.DEADLINE_EXCEEDED, "Deadline Exceeded", 503, "deadline_exceeded"),
        (Status.RESOURCE_EXHAUSTED, SECRET, 503, "overloaded"),
        (Status.CANCELLED, SECRET, 503, "unavailable"),
        (Status.ABORTED, SECRET, 503, "unavailable"),
        (Status.UNAUTHENTICATED, SECRET, 503, "unavailable"),
        (Status.PERMISSION_DENIED, SECRET, 503, "unavailable"),
        (Status.INVALID_ARGUMENT, SECRET, 400, "invalid_input"),
        (Status.OUT_OF_RANGE, SECRET, 400, "invalid_input"),
        (Status.INTERNAL, SECRET, 500, "internal_fault"),
        (Status.UNKNOWN, SECRET, 500, "internal_fault"),
        (Status.UNIMPLEMENTED, SECRET, 500, "internal_fault"),
        (Status.FAILED_PRECONDITION, SECRET, 500, "internal_fault"),
        (Status.ALREADY_EXISTS, SECRET, 500, "internal_fault"),
        (Status.DATA_LOSS, SECRET, 500, "internal_fault"),
    ],
)
async def test_each_grpc_status_has_its_answer(
    client: httpx.AsyncClient, fake: FakeTriton, code: Status, message: str, status: int, name: str
) -> None:
    fake.scripts["clip_text_string"] = refuses(code, message)
    answer = await embed(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, name)
    assert message not in answer.text
    assert ("Retry-After" in answer.headers) == (status == 503)


async def test_a_stubs_own_refusal_arrives_word_for_word(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    refusal = to_wire(InvalidInput("the picture is damaged", field="image"))
    message = f"in ensemble 'clip_text_string', {refusal}"
    fake.scripts["clip_text_string"] = refuses(Status.INVALID_ARGUMENT, message)
    error = (await embed(client)).json()["error"]
    assert (error["message"], error["param"]) == ("the picture is damaged", "image")


async def test_a_stub_that_is_full_is_answered_503(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    fake.scripts["clip_text_string"] = refuses(Status.UNAVAILABLE, to_wire(Overloaded("no row is free")))
    answer = await embed(client)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


async def test_a_full_pipelines_own_time_is_what_the_client_is_told(
    client: httpx.AsyncClient, fake: FakeTriton
) -> None:
    full = Overloaded("64 pictures are in work; ask again in about 5 s", retry_after_s=5)
    fake.scripts["demo"] = refuses(Status.UNAVAILABLE, to_wire(full))
    answer = await client.post("/generate", json={"prompt": "a"})
    assert (answer.status_code, answer.json()["detail"]) == (503, full.detail)
    assert answer.headers["Retry-After"] == "5"


async def test_a_model_that_never_answers_is_given_up_at_the_deadline(serve: Serve, fake: FakeTriton) -> None:
    fake.scripts["clip_text_string"] = hangs
    async with serve(embeddings_deadline_s=0.2) as client:
        answer = await embed(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "deadline_exceeded")
    assert answer.headers["Retry-After"] == "1"


async def test_no_triton_at_all_is_503(serve: Serve) -> None:
    async with serve(triton_address="127.0.0.1:1") as client:
        answer = await embed(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert "Retry-After" in answer.headers
