"""Every request that reference 000 shows, against a whole Triptych with the demo family, field by field."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.triptych_process import Addresses

pytestmark = pytest.mark.triton
TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def client(triptych: Addresses) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{triptych.rest}", timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture(scope="module")
def generated(client: httpx.Client) -> Any:
    """Its first request, as it stands there."""
    answer = client.post("/generate", json={"prompt": "a futuristic city at sunset"})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def analyzed(client: httpx.Client, generated: Any) -> Any:
    """Its second one: an image file as multipart/form-data."""
    picture = base64.b64decode(generated["generated_image"])
    answer = client.post("/analyze", files={"image": ("picture.png", picture, "image/png")})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(params=["generated", "analyzed"])
def answer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_request_id_is_a_unique_id(generated: Any, analyzed: Any) -> None:
    assert generated["request_id"] != analyzed["request_id"]


def test_generated_image_is_a_picture_in_base64(generated: Any) -> None:
    picture = Image.open(io.BytesIO(base64.b64decode(generated["generated_image"])))
    assert (picture.format, picture.size) == ("PNG", (128, 128))


def test_concepts_are_a_list_of_names_the_surest_first(answer: Any) -> None:
    analysis = answer["clip_analysis"]
    scores = list(analysis["confidence_scores"].values())
    assert analysis["concepts"]
    assert scores == sorted(scores, reverse=True)


def test_confidence_scores_have_a_share_for_each_concept(answer: Any) -> None:
    analysis = answer["clip_analysis"]
    assert list(analysis["confidence_scores"]) == analysis["concepts"]
    assert all(0 <= score <= 1 for score in analysis["confidence_scores"].values())


def test_basic_segmentation_has_a_polygon_list_for_each_mask(answer: Any) -> None:
    segmentation = answer["basic_segmentation"]
    assert len(segmentation["masks"]) == len(segmentation["polygons"])


def test_the_uploaded_picture_is_understood_as_the_generated_one_was(generated: Any, analyzed: Any) -> None:
    for part in ("clip_analysis", "basic_segmentation"):
        assert analyzed[part] == generated[part]


def test_text_and_picture_inputs_are_validated(client: httpx.Client) -> None:
    assert client.post("/generate", json={"prompt": ""}).status_code == 422
    assert client.post("/analyze", files={"image": ("a.png", b"no picture", "image/png")}).status_code == 415


def test_a_wish_beyond_the_familys_limits_is_named(client: httpx.Client) -> None:
    answer = client.post("/generate", json={"prompt": "a city", "steps": 101})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "steps")


def test_the_documentation_is_at_docs(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "/generate" in page.text
    assert "/analyze" in page.text
