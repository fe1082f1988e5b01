"""POST /v1/embeddings: OpenAI's shape, batching, pictures, and what is refused."""

import base64
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from modelcore.images import encode_png
from tests.service.conftest import Serve
from tests.service.fake_triton import WIDTH, FakeTriton, vector_of

PNG = encode_png(Image.new("RGB", (4, 4), "red"))
PICTURE = {"image": "data:image/png;base64," + base64.b64encode(PNG).decode()}


async def embed(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/v1/embeddings", json=body)


def calls(fake: FakeTriton, model: str) -> list[int]:
    """How many inputs each call to a model carried."""
    return [len(next(iter(arrays.values()))) for name, arrays in fake.requests if name == model]


async def test_one_text_is_answered_in_openai_shape(client: httpx.AsyncClient) -> None:
    answer = (await embed(client, input="a red circle", model="clip")).json()
    assert answer["data"][0]["embedding"] == pytest.approx(vector_of(b"a red circle").tolist())
    del answer["data"][0]["embedding"]
    assert answer == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0}],
        "model": "clip",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
        "warnings": [],
    }


async def test_base64_is_little_endian_float32(client: httpx.AsyncClient) -> None:
    answer = (await embed(client, input="a", encoding_format="base64")).json()
    vector = np.frombuffer(base64.b64decode(answer["data"][0]["embedding"]), "<f4")
    np.testing.assert_array_equal(vector, vector_of(b"a"))


async def test_many_texts_travel_in_one_call(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    await embed(client, input=[f"text {number}" for number in range(40)])
    assert calls(fake, "clip_text_string") == [40]


async def test_more_than_a_batch_is_cut_at_the_models_limit(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    await embed(client, input=[f"text {number}" for number in range(150)])
    assert sorted(calls(fake, "clip_text_string")) == [22, 64, 64]


async def test_texts_and_pictures_keep_their_places(client: httpx.AsyncClient) -> None:
    answer = (await embed(client, input=["one", PICTURE, {"text": "two"}])).json()
    vectors = [item["embedding"] for item in answer["data"]]
    expected = [vector_of(item).tolist() for item in (b"one", PNG, b"two")]
    assert vectors == [pytest.approx(vector) for vector in expected]


async def test_pictures_alone_cost_no_tokens(client: httpx.AsyncClient) -> None:
    answer = (await embed(client, input=[PICTURE])).json()
    assert answer["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


async def test_a_text_that_was_cut_is_named(client: httpx.AsyncClient) -> None:
    answer = (await embed(client, input=["short", "a b c d e f g h i j"])).json()
    assert answer["warnings"] == ["input[1] is longer than the model reads; it was cut at 8 tokens"]


async def test_the_familys_name_is_a_model_too(serve: Serve) -> None:
    async with serve(family="sd14") as client:
        assert (await embed(client, input="a", model="sd14")).json()["model"] == "sd14"


async def test_the_route_stands_under_api_too(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/embeddings", json={"input": "a", "model": "nope"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_unknown_and_unused_fields_are_ignored(client: httpx.AsyncClient) -> None:
    assert (await embed(client, input="a", user="me", seed=1)).status_code == 200


async def test_the_models_own_width_is_accepted(client: httpx.AsyncClient) -> None:
    assert (await embed(client, input="a", dimensions=WIDTH)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": "a", "model": "gpt"}, 404, "model"),
        ({"input": "a", "dimensions": WIDTH + 1}, 400, "dimensions"),
        ({"input": "a", "dimensions": "4"}, 400, "dimensions"),
        ({"input": "a", "dimensions": True}, 400, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, 400, "encoding_format"),
        ({"input": [1, 2, 3]}, 400, "input"),
        ({"input": [[1, 2], [3]]}, 400, "input"),
        ({}, 400, "input"),
        ({"input": None}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": ""}, 400, "input"),
        ({"input": ["a", ""]}, 400, "input[1]"),
        ({"input": ["a", 1]}, 400, "input[1]"),
        ({"input": ["a"] * 257}, 400, "input"),
        ({"input": "a" * 2001}, 400, "input"),
        ({"input": ["a", "\N{GRINNING FACE}" * 2000 + "é"]}, 400, "input[1]"),
        ({"input": "bell \a"}, 400, "input"),
        ({"input": [{"text": "a", "image": "b"}]}, 400, "input[0]"),
        ({"input": [{"image": "https://example.org/a.png"}]}, 400, "input[0].image"),
        ({"input": [{"image": "data:image/png;base64,@@@"}]}, 400, "input[0].image"),
        ({"input": [{"image": "data:image/png;base64,"}]}, 400, "input[0].image"),
        ({"input": [{"image": "data:image/png;base64,R0lGODlh"}]}, 400, "input[0].image"),
    ],
)
async def test_bad_input_names_its_field(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, param: str
) -> None:
    answer = await client.post("/v1/embeddings", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


async def test_a_refused_request_never_reaches_triton(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    await embed(client, input=["fine", ""])
    assert calls(fake, "clip_text_string") == []
