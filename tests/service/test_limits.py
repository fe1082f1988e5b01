"""How much one caller may ask for: requests a minute, and what work costs a day."""

import asyncio
from typing import Any

import grpc
import httpx
import pytest

from tests.service.conftest import Serve
from tests.service.fake_triton import FakeTriton, refuses
from tests.service.keys import bearer, new_key, use_key

COST = 64 * 64 * 3  # of the picture below
WISHES = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 3, "analyze": False}
RATE = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


async def paint(client: httpx.AsyncClient, **wishes: Any) -> int:
    return (await client.post("/generate", json={**WISHES, **wishes})).status_code


async def test_a_key_may_send_as_many_requests_a_minute_as_it_says(client: httpx.AsyncClient) -> None:
    await use_key(client, requests_per_minute=2)
    answers = [await client.get("/images") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "quota_exceeded"
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 30


async def test_the_headers_say_what_is_left(client: httpx.AsyncClient) -> None:
    await use_key(client, requests_per_minute=2)
    answers = [await client.get("/images") for _ in range(2)]
    assert [[answer.headers[name] for name in RATE] for answer in answers] == [["2", "1", "30"], ["2", "0", "60"]]


async def test_a_refused_request_hears_what_is_left_too(client: httpx.AsyncClient) -> None:
    await use_key(client, requests_per_minute=1)
    answers = [await client.get("/images") for _ in range(2)]
    assert answers[1].status_code == 429
    assert [answers[1].headers[name] for name in RATE] == ["1", "0", "60"]


async def test_without_a_limit_there_are_no_headers_of_it(client: httpx.AsyncClient) -> None:
    assert not set(RATE) & set((await client.get("/images")).headers)


async def test_one_key_does_not_use_up_anothers_requests(client: httpx.AsyncClient) -> None:
    one, other = [await new_key(client, requests_per_minute=1) for _ in range(2)]
    statuses = [(await client.get("/images", headers=bearer(key))).status_code for key in (one, one, other)]
    assert statuses == [200, 429, 200]


async def test_callers_without_a_key_have_a_limit_where_one_is_set(serve: Serve) -> None:
    async with serve(requests_per_minute_without_key=2) as client:
        statuses = []
        for number in range(3):
            client.cookies.set("triptych_session", f"{number:032x}")  # made up, and of no use
            statuses.append((await client.get("/images")).status_code)
        live = (await client.get("/health/live")).status_code
        await use_key(client)
        assert (await client.get("/images")).status_code == 200
    assert (statuses, live) == ([200, 200, 429], 200)


async def test_a_picture_that_is_answered_at_once_is_counted(client: httpx.AsyncClient) -> None:
    await use_key(client, cost_per_day=2 * COST)
    assert [await paint(client) for _ in range(3)] == [200, 200, 429]


async def test_a_used_up_quota_says_when_it_comes_back(client: httpx.AsyncClient) -> None:
    await use_key(client, cost_per_day=COST)
    await paint(client)
    refused = await client.post("/generate", json=WISHES)
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert 24 * 3600 - 60 < int(refused.headers["Retry-After"]) <= 24 * 3600


async def test_all_pictures_of_a_request_are_counted(client: httpx.AsyncClient) -> None:
    await use_key(client, cost_per_day=2 * COST)
    assert [await paint(client, num_images=2), await paint(client)] == [200, 429]


async def test_what_a_request_leaves_out_costs_as_the_family_fills_it_in(client: httpx.AsyncClient) -> None:
    """The demo family's defaults: 128 x 128, 20 steps."""
    await use_key(client, cost_per_day=128 * 128 * 20)
    left_out = dict.fromkeys(("width", "height", "steps"))
    assert [await paint(client, **left_out), await paint(client)] == [200, 429]


async def test_what_no_day_could_pay_for_is_422(client: httpx.AsyncClient) -> None:
    await use_key(client, cost_per_day=COST - 1)
    assert await paint(client) == 422


async def test_requests_at_once_do_not_overrun_the_quota(client: httpx.AsyncClient) -> None:
    await use_key(client, cost_per_day=3 * COST)
    statuses = await asyncio.gather(*(paint(client) for _ in range(8)))
    assert sorted(statuses) == [200] * 3 + [429] * 5


async def test_jobs_and_answered_requests_share_one_quota(client: httpx.AsyncClient) -> None:
    await use_key(client, cost_per_day=2 * COST)
    assert await paint(client) == 200
    jobs = [await client.post("/jobs", json={"kind": "generate", "request": WISHES}) for _ in range(2)]
    assert [job.status_code for job in jobs] == [202, 429]
    assert await paint(client) == 429


async def test_what_fails_costs_nothing(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    await use_key(client, cost_per_day=COST)
    fake.scripts["demo"] = refuses(grpc.StatusCode.UNAVAILABLE, "gone")
    assert await paint(client) == 503
    del fake.scripts["demo"]
    assert await paint(client) == 200


async def test_what_its_caller_gives_up_is_paid_for(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    await use_key(client, cost_per_day=COST)
    fake.stalls = True
    painting = asyncio.create_task(paint(client))
    await fake.streamed.wait()
    painting.cancel()
    await fake.stream_ended.wait()
    with pytest.raises(asyncio.CancelledError):
        await painting
    fake.stalls = False
    assert await paint(client) == 429


async def test_sessions_have_no_quota(client: httpx.AsyncClient) -> None:
    assert [await paint(client) for _ in range(3)] == [200] * 3
