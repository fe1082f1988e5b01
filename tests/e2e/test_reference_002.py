"""Every request of reference 002's table, against a whole Triptych with the demo family, and the columns of its table.

Its README shows paths, methods and a table of images, but no bodies. Its /api/retrain and /api/retrain/status are not
offered yet: training from feedback is a later version's.
"""

import base64
import hashlib
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

from modelcore.images import encode_png
from tests.triptych_process import Addresses

pytestmark = pytest.mark.triton
TIMEOUT_S = 120.0
DRAWN = {"a red circle": (220, 30, 30), "a blue square": (30, 60, 220), "a green triangle": (30, 160, 50)}


@pytest.fixture(scope="module")
def client(triptych: Addresses) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{triptych.rest}", timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture(scope="module")
def made(client: httpx.Client) -> dict[str, Any]:
    """Three pictures, by their prompts: close to drawn ones, so that they show it however well the family paints."""
    return {prompt: generated(client, prompt, seed) for seed, prompt in enumerate(DRAWN)}


def generated(client: httpx.Client, prompt: str, seed: int) -> Any:
    start = {"image": base64.b64encode(drawn(prompt)).decode(), "strength": 0.1}
    wishes = {"prompt": prompt, "seed": seed, "steps": 10, "guidance_scale": 2.0, "segment": False, **start}
    answer = client.post("/api/generate", json=wishes)
    assert answer.status_code == 200, answer.text
    return answer.json()


def drawn(prompt: str) -> bytes:
    picture = Image.new("RGB", (128, 128), "white")
    draw = ImageDraw.Draw(picture)
    colour = DRAWN[prompt]
    if "circle" in prompt:
        draw.ellipse((34, 34, 94, 94), fill=colour)
    elif "square" in prompt:
        draw.rectangle((38, 38, 90, 90), fill=colour)
    else:
        draw.polygon([(64, 30), (100, 94), (28, 94)], fill=colour)
    return encode_png(picture)


def listed(client: httpx.Client, **query: Any) -> list[Any]:
    answer = client.get("/api/images", params=query)
    assert answer.status_code == 200, answer.text
    images: list[Any] = answer.json()["images"]
    return images


def ids(images: list[Any]) -> list[str]:
    return [image["id"] for image in images]


def test_generate_makes_a_picture_that_is_stored(client: httpx.Client, made: dict[str, Any]) -> None:
    answer = made["a red circle"]
    picture = base64.b64decode(answer["generated_image"])
    assert client.get(f"/api{answer['images'][0]['url']}").content == picture


def test_variations_are_made_of_an_existing_image(client: httpx.Client, made: dict[str, Any]) -> None:
    parent = made["a red circle"]["image_id"]
    answer = client.post("/api/variations", json={"image_id": parent, "num_images": 2, "analyze": False})
    assert answer.status_code == 200, answer.text
    ids_made = [image["id"] for image in answer.json()["images"]]
    details = client.get(f"/api/images/{parent}").json()
    told = {relative["id"]: relative["relation"] for relative in details["children"]}
    for image_id in ids_made:
        client.delete(f"/api/images/{image_id}")
    assert told == dict.fromkeys(ids_made, "variation_of")


def test_images_lists_what_was_generated(client: httpx.Client, made: dict[str, Any]) -> None:
    assert set(ids(listed(client))) == {answer["image_id"] for answer in made.values()}


def test_images_are_searched_by_words_of_their_prompts(client: httpx.Client, made: dict[str, Any]) -> None:
    assert ids(listed(client, search="blue squ")) == [made["a blue square"]["image_id"]]


def test_images_are_filtered(client: httpx.Client, made: dict[str, Any]) -> None:
    assert len(listed(client, family="demo", width=128, height=128, feedback=0, from_ms=1)) == len(made)
    assert listed(client, family="sd14") == listed(client, width=64) == listed(client, before_ms=1) == []


def test_images_come_in_pages(client: httpx.Client, made: dict[str, Any]) -> None:
    first = client.get("/api/images", params={"limit": 2}).json()
    second = client.get("/api/images", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert ids(first["images"]) + ids(second["images"]) == ids(listed(client))
    assert second["next_cursor"] is None


@pytest.mark.parametrize("prompt", DRAWN)
def test_images_are_found_by_what_they_show(client: httpx.Client, made: dict[str, Any], prompt: str) -> None:
    """Right after they were made: their embeddings were kept with them."""
    first, *others = listed(client, text=prompt)
    assert first["id"] == made[prompt]["image_id"]
    assert first["similarity"] > others[0]["similarity"]


def test_images_like_one_picture_are_found(client: httpx.Client, made: dict[str, Any]) -> None:
    again = generated(client, "a red circle", 7)
    nearest = listed(client, similar_to=made["a red circle"]["image_id"])
    client.delete(f"/api/images/{again['image_id']}")
    assert nearest[0]["id"] == again["image_id"]
    assert nearest[0]["similarity"] > 0.9


def test_details_have_every_column_of_the_table(client: httpx.Client, made: dict[str, Any]) -> None:
    """id, prompt, image_data, created_at, seed, params, feedback."""
    answer = made["a blue square"]
    image = client.get(f"/api/images/{answer['image_id']}").json()
    assert (image["id"], image["prompt"], image["seed"]) == (answer["image_id"], "a blue square", 1)
    assert image["image_data"] == answer["generated_image"]
    assert datetime.fromisoformat(image["created_at"]).timestamp() == image["created_at_ms"] / 1000
    assert image["feedback"] == 0
    assert image["params"].items() >= {"steps": 10, "guidance_scale": 2.0, "width": 128}.items()
    assert image["url"] == f"/images/{image['id']}/file"


def test_the_list_has_every_column_but_the_data(client: httpx.Client, made: dict[str, Any]) -> None:
    (image,) = listed(client, search="blue squ")
    assert image.keys() >= {"id", "prompt", "created_at", "seed", "params", "feedback"}


def test_details_have_a_thumbnail(client: httpx.Client, made: dict[str, Any]) -> None:
    image = client.get(f"/api/images/{made['a red circle']['image_id']}").json()
    assert Image.open(io.BytesIO(client.get(f"/api{image['thumbnail_url']}").content)).size == (128, 128)


def test_the_file_is_sent_once_to_who_keeps_its_tag(client: httpx.Client, made: dict[str, Any]) -> None:
    url = f"/api{made['a red circle']['images'][0]['url']}"
    answer = client.get(url)
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    assert client.get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize("feedback", [1, -1, 0])
def test_feedback_is_saved_for_an_image(client: httpx.Client, made: dict[str, Any], feedback: int) -> None:
    image_id = made["a green triangle"]["image_id"]
    answer = client.post("/api/feedback", json={"image_id": image_id, "feedback": feedback, "note": "seen"})
    assert (answer.status_code, answer.json()["feedback"]) == (200, feedback)
    image = client.get(f"/api/images/{image_id}").json()
    assert (image["feedback"], image["note"]) == (feedback, "seen")
    assert image_id in ids(listed(client, feedback=feedback))


def test_an_image_that_is_deleted_is_gone(client: httpx.Client, made: dict[str, Any]) -> None:
    image_id = generated(client, "a red circle", 9)["image_id"]
    assert client.delete(f"/api/images/{image_id}").status_code == 204
    assert client.get(f"/api/images/{image_id}").status_code == 404
    assert image_id not in ids(listed(client, text="a red circle"))
