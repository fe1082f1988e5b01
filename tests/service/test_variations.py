"""POST /variations: which way a picture is varied, what is asked of Triton for it, and what the gallery knows of it."""

import base64
from typing import Any

import httpx
import pytest

from tests.service.fake_triton import FakeTriton, painted
from tests.service.test_generate import PICTURE, SENT, STREAMED, asked, events_of
from tests.service.test_picture_endpoints import refusal

WORDS = {"prompt": "a red circle", "negative_prompt": "blue", "seed": 7, "width": 96}


@pytest.fixture
async def parent(client: httpx.AsyncClient) -> str:
    answer = await client.post("/generate", json=WORDS | {"analyze": False})
    image_id: str = answer.json()["image_id"]
    return image_id


async def vary(client: httpx.AsyncClient, **wishes: Any) -> Any:
    answer = await client.post("/variations", json=wishes)
    assert answer.status_code == 200, answer.text
    return answer.json()


def plain(fake: FakeTriton) -> dict[str, Any]:
    return {name: array.item() for name, array in asked(fake).items()}


async def test_what_was_painted_here_is_varied_in_its_noise(
    client: httpx.AsyncClient, fake: FakeTriton, parent: str
) -> None:
    await vary(client, image_id=parent, num_images=3, seed=100)
    sent = plain(fake)
    assert sent["variation_strength"] == pytest.approx(0.2)
    assert {name: sent[name] for name in ("seed", "variation_seed", "num_images")} == {
        "seed": 7,
        "variation_seed": 100,
        "num_images": 3,
    }
    assert "init_image" not in sent


async def test_all_that_made_the_picture_stays_the_same(
    client: httpx.AsyncClient, fake: FakeTriton, parent: str
) -> None:
    painted_with = (await client.get(f"/images/{parent}")).json()["parameters"]["parameters"]
    await vary(client, image_id=parent)
    sent = plain(fake)
    texts = {"prompt": b"a red circle", "negative_prompt": b"blue"}
    assert {name: sent[name] for name in painted_with} == painted_with | texts
    assert sent["variation_seed"] == -1


async def test_strength_starts_from_the_picture_itself(
    client: httpx.AsyncClient, fake: FakeTriton, parent: str
) -> None:
    await vary(client, image_id=parent, strength=0.5)
    sent = plain(fake)
    assert (sent["init_image"], sent["prompt"]) == (painted(7, 96, 64), b"a red circle")
    assert sent["strength"] == 0.5
    assert "variation_seed" not in sent


async def test_a_picture_that_is_sent_is_painted_over_by_what_clip_sees_in_it(
    client: httpx.AsyncClient, fake: FakeTriton
) -> None:
    body = await vary(client, image=SENT)
    sent = plain(fake)
    assert sent["init_image"] == PICTURE
    assert sent["strength"] == pytest.approx(0.6)
    assert body["prompt"] == sent["prompt"].decode()
    assert body["parent_id"] is None


async def test_own_words_overrule(client: httpx.AsyncClient, fake: FakeTriton, parent: str) -> None:
    body = await vary(client, image_id=parent, prompt="a star", steps=4)
    assert (plain(fake)["prompt"], plain(fake)["steps"], body["prompt"]) == (b"a star", 4, "a star")


async def test_without_a_name_it_is_the_last_picture(client: httpx.AsyncClient, parent: str) -> None:
    assert (await vary(client))["parent_id"] == parent


async def test_without_a_body_it_is_the_last_picture_too(client: httpx.AsyncClient, parent: str) -> None:
    assert (await client.post("/variations")).json()["parent_id"] == parent


async def test_each_tells_the_seed_that_it_was_varied_towards(client: httpx.AsyncClient, parent: str) -> None:
    """The pipeline counts up from the seed that was asked for."""
    body = await vary(client, image_id=parent, seed=5)
    assert body["images"][0]["variation_seed"] == 5


async def test_the_gallery_knows_what_it_is_a_variation_of(client: httpx.AsyncClient, parent: str) -> None:
    body = await vary(client, image_id=parent, num_images=2)
    ids = [image["id"] for image in body["images"]]
    child = (await client.get(f"/images/{ids[0]}")).json()
    assert (child["parent_id"], child["relation"]) == (parent, "variation_of")
    children = (await client.get(f"/images/{parent}")).json()["children"]
    assert {each["id"] for each in children} == set(ids)


async def test_it_answers_as_generate_does(client: httpx.AsyncClient, parent: str) -> None:
    body = await vary(client, image_id=parent, segment=False)
    assert base64.b64decode(body["generated_image"]) == painted(7, 96, 64)
    assert (body["parent_id"], body["image_id"]) == (parent, body["images"][0]["id"])
    assert body["clip_scores"][0]["class"] == body["clip_analysis"]["concepts"][0]


async def test_it_streams_as_generate_does(client: httpx.AsyncClient, parent: str) -> None:
    wishes = {"image_id": parent, "steps": 4, "preview_every": 2, "strength": 1}
    *steps, (last, body) = events_of(await client.post("/variations", json=wishes, headers=STREAMED))
    assert [(name, data["step"]) for name, data in steps] == [("progress", step) for step in (1, 2, 3, 4)]
    assert [bool(data["preview"]) for _, data in steps] == [False, True, False, True]
    assert (last, body["parent_id"]) == ("completed", parent)


async def test_the_same_request_with_the_same_key_paints_once(
    client: httpx.AsyncClient, fake: FakeTriton, parent: str
) -> None:
    headers = {"Idempotency-Key": "one"}
    first, again = [await client.post("/variations", json={"image_id": parent}, headers=headers) for _ in range(2)]
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert len([name for name, _ in fake.requests if name == "demo"]) == 2  # the parent, and one variation


@pytest.mark.parametrize(
    ("wishes", "status", "field"),
    [
        ({"image_id": "x"}, 404, "image_id"),
        ({"image_id": "x", "image": SENT}, 422, "image_id"),
        ({"image": "@@@"}, 422, "image"),
        ({"image": SENT, "variation_strength": 0.5}, 422, "variation_strength"),
        ({"image": SENT, "model": "sd14"}, 404, "model"),
        ({"image": SENT, "prompt": ""}, 422, "prompt"),
        ({"image": SENT, "mask_image": SENT}, 422, "mask_image"),
        ({"image": SENT, "num_images": 9}, 422, "num_images"),
        ({"strength": 0.5, "variation_strength": 0.5}, 422, "strength"),
    ],
)
async def test_a_wrong_wish_is_refused_and_named(
    client: httpx.AsyncClient, parent: str, wishes: dict[str, Any], status: int, field: str
) -> None:
    got, _, fields = await refusal(await client.post("/variations", json=wishes))
    assert (got, fields) == (status, [field])


@pytest.mark.parametrize("how", [{"strength": 0.5}, {"variation_strength": 0.5}])
async def test_what_did_not_come_from_one_noise_alone_is_painted_over(
    client: httpx.AsyncClient, fake: FakeTriton, parent: str, how: dict[str, float]
) -> None:
    child = (await vary(client, image_id=parent, **how))["image_id"]
    await vary(client, image_id=child)
    assert plain(fake)["init_image"] == (await client.get(f"/images/{child}/file")).content
    answer = await client.post("/variations", json={"image_id": child, "variation_strength": 0.5})
    assert await refusal(answer) == (422, "invalid_input", ["variation_strength"])


async def test_without_a_picture_of_yours_there_is_nothing_to_vary(client: httpx.AsyncClient) -> None:
    assert (await client.post("/variations", json={})).status_code == 404


async def test_anothers_picture_is_as_if_it_did_not_exist(client: httpx.AsyncClient, parent: str) -> None:
    client.cookies.clear()
    answer = await client.post("/api/variations", json={"image_id": parent})
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no such picture")
