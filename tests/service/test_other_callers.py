"""Another caller's picture or job does not exist, whichever way it is asked for: between two keys, and two sessions."""

import re
from typing import Any

import httpx
import pytest

from tests.service.conftest import Serve
from tests.service.keys import use_key
from tests.service.test_access import ROUTES

PAINTING = {"prompt": "a red circle", "analyze": False}
NO_ID = "00000000-0000-4000-8000-000000000000"
# Every way to name a picture or a job; {image} and {job} stand for ids.
WAYS: list[tuple[str, str, Any]] = [
    ("GET", "/images/{image}", None),
    ("GET", "/images/{image}/file", None),
    ("GET", "/images/{image}/thumbnail", None),
    ("DELETE", "/images/{image}", None),
    ("GET", "/images?similar_to={image}", None),
    ("POST", "/feedback", {"image_id": "{image}", "feedback": 1}),
    ("POST", "/analyze", {"image_id": "{image}"}),
    ("POST", "/probe", {"image_id": "{image}", "prompt": "metal"}),
    ("POST", "/segment", {"image_id": "{image}"}),
    ("POST", "/visualize", {"image_id": "{image}"}),
    ("POST", "/variations", {"image_id": "{image}"}),
    ("POST", "/jobs", {"kind": "segment", "request": {"image_id": "{image}"}}),
    ("POST", "/jobs", {"kind": "analyze", "request": {"image_id": "{image}"}}),
    ("POST", "/jobs", {"kind": "probe", "request": {"image_id": "{image}", "prompt": "metal"}}),
    ("POST", "/jobs", {"kind": "visualize", "request": {"image_id": "{image}"}}),
    ("POST", "/jobs", {"kind": "variations", "request": {"image_id": "{image}"}}),
    ("GET", "/jobs/{job}", None),
    ("GET", "/jobs/{job}/files/{file}", None),
    ("GET", "/jobs/{job}/events", None),
    ("DELETE", "/jobs/{job}", None),
    ("GET", "/job/{job}", None),
]


def filled(wanted: Any, ids: dict[str, str]) -> Any:
    if isinstance(wanted, str):
        return re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], wanted)
    return {name: filled(value, ids) for name, value in wanted.items()} if isinstance(wanted, dict) else wanted


async def ask(client: httpx.AsyncClient, way: tuple[str, str, Any], ids: dict[str, str]) -> httpx.Response:
    method, path, body = way
    return await client.request(method, filled(path, ids), json=filled(body, ids))


async def make(client: httpx.AsyncClient) -> dict[str, str]:
    image = (await client.post("/generate", json=PAINTING)).json()["image_id"]
    job = (await client.post("/jobs", json={"kind": "generate", "request": PAINTING})).json()["id"]
    return {"image": image, "job": job, "file": "master_overlay"}


async def become(client: httpx.AsyncClient, kind: str) -> None:
    """Somebody else than before, who has a picture and a job of their own."""
    if kind == "key":
        await use_key(client)
    else:
        client.cookies.clear()


def test_every_address_with_an_id_is_among_the_ways() -> None:
    with_id = {path for _, path, _ in ROUTES if re.search(r"\{(image|job)_id\}", path) and not path.startswith("/api")}
    assert with_id == {re.sub(r"\{(\w+)\}", r"{\1_id}", path) for _, path, _ in WAYS if "{" in path and "?" not in path}


@pytest.mark.parametrize("kind", ["key", "session"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way[0]} {way[1]}")
async def test_what_is_anothers_is_not_there(client: httpx.AsyncClient, kind: str, way: tuple[str, str, Any]) -> None:
    await become(client, kind)
    theirs = await make(client)
    await become(client, kind)
    await make(client)
    refused, unknown = await ask(client, way, theirs), await ask(client, way, dict.fromkeys(theirs, NO_ID))
    assert (refused.status_code, unknown.status_code) == (404, 404)
    # Nor does the answer tell what is another's from what never was.
    assert {**refused.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}


async def test_lists_hold_only_ones_own(client: httpx.AsyncClient) -> None:
    for kind in ("session", "key", "key"):
        await become(client, kind)
        own = await make(client)
        images = (await client.get("/images")).json()["images"]
        jobs = (await client.get("/jobs")).json()["jobs"]
        assert own["image"] in [image["id"] for image in images]
        assert [job["id"] for job in jobs] == [own["job"]]


async def test_another_session_is_not_the_key_that_made_the_picture(serve: Serve) -> None:
    async with serve() as client:
        await use_key(client)
        theirs = await make(client)
        del client.headers["Authorization"]
        await make(client)
        assert (await client.get(f"/images/{theirs['image']}")).status_code == 404
