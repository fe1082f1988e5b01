"""The gallery over HTTP: pages, filters, bytes with their tag, feedback, deleting; all of it the caller's own only."""

import hashlib
import io
from typing import Any

import grpc
import httpx
import pytest
from PIL import Image

from tests.service import fake_triton
from tests.service.conftest import Serve
from tests.service.fake_triton import CONTEXT, SEED, FakeTriton, painted, refuses, vector_of
from tests.service.test_picture_endpoints import refusal

NOWHERE = "00000000-0000-4000-8000-000000000000"


async def made(client: httpx.AsyncClient, prompt: str = "a red circle", **wishes: Any) -> str:
    answer = await client.post("/generate", json={"prompt": prompt, "analyze": False, **wishes})
    return str(answer.json()["image_id"])


async def ids(client: httpx.AsyncClient, **query: Any) -> list[str]:
    return [image["id"] for image in (await client.get("/images", params=query)).json()["images"]]


async def test_a_picture_tells_what_it_was_made_with(client: httpx.AsyncClient) -> None:
    image_id = await made(client, "a green star", negative_prompt="blue", seed=9)
    image = (await client.get(f"/images/{image_id}")).json()
    expected = {"prompt": "a green star", "negative_prompt": "blue", "seed": 9, "family": "demo", "width": 64}
    assert {name: image[name] for name in expected} == expected
    assert image["parameters"]["parameters"]["steps"] == 3
    assert (image["ancestors"], image["children"]) == ([], [])


async def test_the_file_has_a_strong_tag_of_its_bytes(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/images/{await made(client, seed=9)}/file")
    assert (answer.content, answer.headers["content-type"]) == (painted(9, 64, 64), "image/png")
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(("prefix", "status"), [("", 304), ("W/", 304), ('"other", ', 304), ('"x', 200)])
async def test_bytes_that_the_client_has_are_not_sent_again(
    client: httpx.AsyncClient, prefix: str, status: int
) -> None:
    url = f"/images/{await made(client)}/file"
    etag = (await client.get(url)).headers["ETag"]
    answer = await client.get(url, headers={"If-None-Match": prefix + etag})
    assert (answer.status_code, answer.headers["ETag"]) == (status, etag)
    assert bool(answer.content) == (status == 200)


async def test_pages_hold_every_picture_once_the_newest_first(client: httpx.AsyncClient) -> None:
    made_ids = [await made(client, seed=seed) for seed in range(5)]
    seen, query = [], {"limit": 2}
    while True:
        page = (await client.get("/images", params=query)).json()
        seen += [image["id"] for image in page["images"]]
        if page["next_cursor"] is None:
            break
        query = {"limit": 2, "cursor": page["next_cursor"]}
    assert sorted(seen) == sorted(made_ids)
    assert len(seen) == 5


async def test_filters_narrow_the_page(client: httpx.AsyncClient) -> None:
    star = await made(client, "a green star", width=96)
    circle = await made(client, "a red circle")
    await client.post("/feedback", json={"image_id": circle, "feedback": 1})
    assert await ids(client, search="green") == await ids(client, width=96) == [star]
    assert await ids(client, feedback=1) == [circle]
    assert await ids(client, family="sd14") == await ids(client, before_ms=1) == []


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 101}, {"cursor": "x"}, {"feedback": 2}, {"width": 2**64}, {"from_ms": -1}, {"sort": "a"}],
)
async def test_a_wrong_filter_is_refused_and_named(client: httpx.AsyncClient, query: dict[str, Any]) -> None:
    answer = await client.get("/images", params=query)
    assert await refusal(answer) == (422, "invalid_input", list(query))


async def test_feedback_is_kept_with_its_note(client: httpx.AsyncClient) -> None:
    image_id = await made(client)
    await client.post("/feedback", json={"image_id": image_id, "feedback": -1, "note": "too small"})
    image = (await client.get(f"/images/{image_id}")).json()
    assert (image["feedback"], image["note"]) == (-1, "too small")


@pytest.mark.parametrize("feedback", [2, "1", True, 0.5, None])
async def test_feedback_is_minus_one_nothing_or_one(client: httpx.AsyncClient, feedback: Any) -> None:
    answer = await client.post("/feedback", json={"image_id": await made(client), "feedback": feedback})
    assert await refusal(answer) == (422, "invalid_input", ["feedback"])


async def test_a_deleted_picture_is_gone(client: httpx.AsyncClient) -> None:
    image_id = await made(client)
    assert (await client.delete(f"/images/{image_id}")).status_code == 204
    assert (await client.get(f"/images/{image_id}/file")).status_code == 404
    assert (await client.delete(f"/images/{image_id}")).status_code == 404
    assert (await client.post("/analyze")).status_code == 404


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/file"), ("GET", "/thumbnail"), ("DELETE", "")])
async def test_another_callers_picture_does_not_exist(client: httpx.AsyncClient, method: str, path: str) -> None:
    image_id = await made(client)
    own = dict(client.cookies)
    client.cookies.clear()
    assert (await client.request(method, f"/images/{image_id}{path}")).status_code == 404
    assert (await client.post("/feedback", json={"image_id": image_id, "feedback": 1})).status_code == 404
    assert await ids(client) == []
    client.cookies.update(own)
    assert await ids(client) == [image_id]


@pytest.mark.parametrize("image_id", ["x", "%00", "..%2f..%2fetc%2fpasswd", "0" * 36, "%F0%9F%98%80"])
async def test_what_is_no_id_is_no_picture(client: httpx.AsyncClient, image_id: str) -> None:
    for method, path in (("GET", ""), ("GET", "/file"), ("DELETE", "")):
        assert (await client.request(method, f"/images/{image_id}{path}")).status_code in {404, 405}


async def test_pictures_like_one_are_the_nearest_first(client: httpx.AsyncClient) -> None:
    first, *others = [await made(client, seed=seed) for seed in range(5)]
    page = (await client.get("/images", params={"similar_to": first})).json()
    pictures = {image_id: vector_of(painted(seed, 64, 64)) for seed, image_id in enumerate([first, *others])}
    wanted = {image_id: float(pictures[first] @ pictures[image_id]) for image_id in others}
    assert [image["id"] for image in page["images"]] == sorted(wanted, key=lambda image_id: -wanted[image_id])
    assert [image["similarity"] for image in page["images"]] == pytest.approx(sorted(wanted.values())[::-1], abs=2e-6)


async def test_pictures_like_words_are_compared_with_the_words(client: httpx.AsyncClient) -> None:
    image_id = await made(client, seed=3)
    (image,) = (await client.get("/images", params={"text": "a red owl"})).json()["images"]
    cosine = float(vector_of(b"a red owl") @ vector_of(painted(3, 64, 64)))
    assert (image["id"], image["similarity"]) == (image_id, pytest.approx(cosine, abs=2e-6))


async def test_likeness_goes_with_every_filter(client: httpx.AsyncClient) -> None:
    star, small, liked, other = [
        await made(client, prompt, seed=seed, width=width)
        for seed, (prompt, width) in enumerate([("a star", 96), ("a star", 64), ("a star", 96), ("a circle", 96)])
    ]
    await client.post("/feedback", json={"image_id": liked, "feedback": 1})
    wanted = {"similar_to": star, "search": "star", "width": 96, "family": "demo", "feedback": 1, "from_ms": 1}
    assert await ids(client, **wanted) == [liked]
    assert set(await ids(client, text="x", search="star")) == {star, small, liked}
    assert set(await ids(client, similar_to=star, width=96)) == {liked, other}


async def test_pages_of_similar_pictures_hold_each_once(client: httpx.AsyncClient) -> None:
    made_ids = [await made(client, seed=seed) for seed in range(5)]
    seen, query = [], {"text": "owl", "limit": 2}
    while True:
        page = (await client.get("/images", params=query)).json()
        seen += [image["id"] for image in page["images"]]
        if page["next_cursor"] is None:
            break
        query = {"text": "owl", "limit": 2, "cursor": page["next_cursor"]}
    assert (sorted(seen), len(seen)) == (sorted(made_ids), 5)


async def test_words_that_are_more_than_clip_reads_are_named(client: httpx.AsyncClient) -> None:
    page = (await client.get("/images", params={"text": "more words than this one reads in one go"})).json()
    assert page["warnings"] == [f"text: a text encoder reads at most {CONTEXT} tokens; it did not read all of it"]


async def test_clip_is_asked_once_for_the_analysis_and_the_gallery(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    await client.post("/generate", json={"prompt": "a", "num_images": 2})
    shown = [arrays["image"].item() for name, arrays in fake.requests if name == "clip_image_bytes"]
    assert sorted(shown) == sorted([painted(SEED, 64, 64), painted(SEED + 1, 64, 64)])


async def test_what_one_clip_said_is_forgotten_when_another_answers(
    client: httpx.AsyncClient, fake: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    def times_shown() -> int:
        return [name for name, _ in fake.requests].count("clip_image_bytes")

    await client.post("/generate", json={"prompt": "a"})
    await client.post("/analyze")
    assert times_shown() == 1
    monkeypatch.setattr(fake_triton, "WEIGHTS", b"another clip")
    assert await ids(client, text="what nobody has asked before") == []  # the picture's embedding is the old one's
    await client.post("/analyze")
    assert times_shown() == 2


async def test_a_picture_is_kept_while_clip_is_down_and_is_not_compared(
    client: httpx.AsyncClient, fake: FakeTriton
) -> None:
    fake.scripts["clip_image_bytes"] = refuses(grpc.StatusCode.UNAVAILABLE, "down")
    image_id = await made(client)
    answer = await client.get("/images", params={"similar_to": image_id})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert await ids(client, text="owl") == []
    assert await ids(client) == [image_id]


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ({"text": ""}, (422, "invalid_input", ["text"])),
        ({"text": "a" * 2001}, (422, "invalid_input", ["text"])),
        ({"text": "a\x00b"}, (422, "invalid_input", ["text"])),
        ({"text": "a", "similar_to": NOWHERE}, (422, "invalid_input", ["text"])),
        ({"text": "a", "cursor": "x"}, (422, "invalid_input", ["cursor"])),
        ({"similar_to": NOWHERE}, (404, "not_found", [])),
        ({"similar_to": "../x"}, (404, "not_found", ["image_id"])),
    ],
)
async def test_a_wrong_question_for_likeness_is_refused(
    client: httpx.AsyncClient, query: dict[str, str], refused: tuple[int, str, list[str]]
) -> None:
    assert await refusal(await client.get("/images", params=query)) == refused


async def test_another_callers_pictures_are_like_nothing(client: httpx.AsyncClient) -> None:
    image_id = await made(client)
    client.cookies.clear()
    await made(client, seed=9)
    assert (await client.get("/images", params={"similar_to": image_id})).status_code == 404
    assert image_id not in await ids(client, text="owl")


async def test_lineage_tells_how_each_picture_came_from_another(client: httpx.AsyncClient) -> None:
    first = await made(client)
    second = await made(client, image_id=first)
    third = (await client.post("/variations", json={"image_id": second})).json()["image_id"]
    of_first, of_third = [(await client.get(f"/images/{image_id}")).json() for image_id in (first, third)]
    told = [(relative["id"], relative["relation"]) for relative in of_third["ancestors"]]
    assert told == [(second, "variation_of"), (first, "made_from")]
    (child,) = of_first["children"]
    assert (child["id"], child["relation"], child["url"]) == (second, "made_from", f"/images/{second}/file")


async def test_a_thumbnail_is_a_small_webp_with_a_tag_of_its_own(client: httpx.AsyncClient) -> None:
    image = (await client.get(f"/images/{await made(client, width=256, height=128)}")).json()
    answer = await client.get(image["thumbnail_url"])
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.format, picture.size, answer.headers["content-type"]) == ("WEBP", (256, 128), "image/webp")
    again = await client.get(image["thumbnail_url"], headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, answer.headers["ETag"]) == (304, f'"{hashlib.sha256(answer.content).hexdigest()}"')


async def test_it_stands_under_api_too(client: httpx.AsyncClient) -> None:
    image_id = await made(client)
    assert (await client.get(f"/api/images/{image_id}/file")).status_code == 200


async def test_pictures_and_their_owner_outlive_the_process(serve: Serve) -> None:
    async with serve() as first:
        image_id, cookies = await made(first), dict(first.cookies)
    async with serve() as second:
        second.cookies.update(cookies)
        assert await ids(second) == [image_id]
        assert (await second.post("/analyze")).status_code == 200
