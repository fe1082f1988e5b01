"""The gallery over HTTP: pages, filters, bytes with their tag, feedback, deleting; all of it the caller's own only."""

import hashlib
from typing import Any

import httpx
import pytest

from tests.service.conftest import Serve
from tests.service.fake_triton import painted
from tests.service.test_picture_endpoints import refusal


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
    assert image["parameters"]["parameters"] == {"steps": 3}
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


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/file"), ("DELETE", "")])
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
