"""The real `openai` SDK against the real service."""

from collections.abc import Iterator

import numpy as np
import openai
import pytest

from tests.triptych_process import Addresses

pytestmark = pytest.mark.triton


@pytest.fixture
def client(triptych: Addresses) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://{triptych.rest}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_the_sdk_decodes_its_default_base64(client: openai.OpenAI) -> None:
    plain = client.embeddings.create(model="clip", input="a red circle", encoding_format="float")
    packed = client.embeddings.create(model="clip", input="a red circle")
    assert np.allclose(plain.data[0].embedding, packed.data[0].embedding)


def test_each_input_gets_its_own_embedding_in_order(client: openai.OpenAI) -> None:
    texts = ["a red circle", "a blue square", "a red circle"]
    first, second, third = client.embeddings.create(model="clip", input=texts).data
    assert [first.index, second.index, third.index] == [0, 1, 2]
    assert first.embedding == third.embedding
    assert first.embedding != second.embedding


def test_embeddings_have_unit_length(client: openai.OpenAI) -> None:
    (item,) = client.embeddings.create(model="clip", input="a green star").data
    assert np.linalg.norm(item.embedding) == pytest.approx(1, abs=1e-5)


def test_usage_counts_tokens(client: openai.OpenAI) -> None:
    one = client.embeddings.create(model="clip", input="red").usage
    two = client.embeddings.create(model="clip", input=["red", "red"]).usage
    assert two.prompt_tokens == 2 * one.prompt_tokens > 0


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="nothing", input="red")
    assert caught.value.code == "model_not_found"


def test_an_empty_list_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="clip", input=[])


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["demo", "clip"]
    assert client.models.retrieve("demo").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-image-2")
