"""/jobs, `Prefer: respond-async` and /generate-image: what is accepted, what is told of it, and what comes of it."""

import asyncio
import base64
import json
import re
from typing import Any

import grpc
import httpx
import pytest

from tests.service.conftest import Serve
from tests.service.fake_triton import SEED, FakeTriton, painted, refuses
from tests.service.test_generate import PICTURE, SENT, asked
from tests.service.test_picture_endpoints import FORM, refusal

ASYNC = {"Prefer": "respond-async"}
NO_SUCH = "0f0b8e1c-5d5e-4f4c-8a63-9c1b0f4f8f2a"


async def submitted(client: httpx.AsyncClient, request: dict[str, Any], kind: str = "generate", **more: Any) -> Any:
    answer = await client.post("/jobs", json={"kind": kind, "request": request, **more})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def events(client: httpx.AsyncClient, job: Any, after: int | None = None) -> list[tuple[int, str, Any]]:
    """All until the end, which is when an answer in process is there."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    answer = await client.get(f"/jobs/{job['id']}/events", headers=headers, timeout=30)
    found = re.findall(r"id: (\d+)\nevent: (\w+)\ndata: (.*)\n\n", answer.text)
    return [(int(number), name, json.loads(data)) for number, name, data in found]


async def ended(client: httpx.AsyncClient, job: Any) -> Any:
    *_, (_, _, body) = await events(client, job)
    return body


async def state_of(client: httpx.AsyncClient, job: Any) -> str:
    return str((await client.get(job["url"])).json()["state"])


async def test_a_job_is_accepted_at_once_and_says_where_it_is(client: httpx.AsyncClient) -> None:
    answer = await client.post("/jobs", json={"kind": "generate", "request": {"prompt": "a"}})
    job = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/jobs/{job['id']}")
    assert (job["kind"], job["state"], job["priority"], job["result"], job["error"]) == (
        *("generate", "queued", "interactive"),
        *(None, None),
    )
    assert job["request"] == {"prompt": "a"}


async def test_its_pictures_are_in_the_gallery_and_its_answer_is_that_of_the_endpoint(
    client: httpx.AsyncClient,
) -> None:
    wishes = {"prompt": "a", "num_images": 2, "width": 96, "steps": 3}
    job = await ended(client, await submitted(client, wishes))
    answer = (await client.post("/generate", json=wishes)).json()
    result = job["result"]
    assert (job["state"], job["attempt"], job["step"], job["steps"]) == ("completed", 1, 6, 6)
    assert [(each["seed"], each["width"], each["height"]) for each in result["images"]] == [(5, 96, 64), (6, 96, 64)]
    files = [(await client.get(image["url"])).content for image in result["images"]]
    assert files == [painted(seed, 96, 64) for seed in (SEED, SEED + 1)]
    assert set(result) == set(answer) - {"request_id", "generated_image", "seed"}
    for name in ("clip_analysis", "clip_scores", "basic_segmentation", "warnings"):
        assert result[name] == answer[name]


async def test_a_follower_sees_every_step_its_previews_and_the_end(client: httpx.AsyncClient) -> None:
    told = await events(client, await submitted(client, {"prompt": "a", "steps": 4, "preview_every": 2}))
    numbers = [number for number, _, _ in told]
    assert numbers == sorted(set(numbers))
    assert told[-1][1] == "completed"
    steps = [(data["step"], data["steps"]) for _, name, data in told if name == "progress" and data["step"]]
    assert steps == [step for step in [(1, 4), (2, 4), (3, 4), (4, 4)] if step in steps]
    previews = {data["preview"] for _, name, data in told if name == "progress"} - {None}
    assert previews <= {base64.b64encode(painted(step, 8, 8)).decode() for step in (2, 4)}


async def test_a_follower_that_comes_back_gets_what_it_has_not_seen(client: httpx.AsyncClient) -> None:
    job = await submitted(client, {"prompt": "a"})
    told = await events(client, job)
    assert [name for _, name, _ in await events(client, job, after=told[-1][0] - 1)] == ["completed"]
    headers = {"Last-Event-ID": str(told[-1][0])}
    assert (await client.get(f"/jobs/{job['id']}/events", headers=headers)).status_code == 204


async def test_head_of_the_events_of_a_running_job_does_not_wait_for_its_end(
    client: httpx.AsyncClient, fake: FakeTriton
) -> None:
    fake.stalls = True
    job = await submitted(client, {"prompt": "a"})
    async with asyncio.timeout(10):
        answer = await client.head(job["events_url"])
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
    await client.delete(job["url"])


async def test_pictures_of_a_request_are_kept_as_bytes_beside_it(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    job = await submitted(client, {"prompt": "a", "image": SENT, "mask_image": SENT, "analyze": False})
    assert job["request"] == {"prompt": "a", "analyze": False}
    assert (await ended(client, job))["state"] == "completed"
    assert asked(fake)["init_image"].item() == asked(fake)["mask_image"].item() == PICTURE


@pytest.mark.parametrize(
    "wishes",
    [
        {"prompt": "a", "steps": 101},
        {"prompt": "a", "width": 100},
        {"prompt": "a", "num_images": 9},
        {"prompt": "a", "steps": "20"},
        {"prompt": "a", "labels": []},
        {"prompt": "a", "image": "not base64!"},
        {"prompt": "a", "mask_image": SENT},
        {"prompt": "a", "scheduler": "x"},
        {"prompt": "a", "sampler": "x"},
        {},
    ],
    ids=str,
)
async def test_a_wrong_request_is_refused_before_it_is_a_job(client: httpx.AsyncClient, wishes: dict[str, Any]) -> None:
    job = await client.post("/jobs", json={"kind": "generate", "request": wishes})
    preferred = await client.post("/generate", json=wishes, headers=ASYNC)
    assert (job.status_code, preferred.status_code) == (422, 422)
    (field,) = [each["field"] for each in preferred.json()["errors"]]
    assert [each["field"] for each in job.json()["errors"]] == [f"request.{field}"]
    assert (await client.get("/jobs")).json()["jobs"] == []


@pytest.mark.parametrize(("name", "value"), [("steps", 101), ("num_images", 9)])
async def test_it_is_refused_in_the_words_of_the_family(client: httpx.AsyncClient, name: str, value: int) -> None:
    wishes = {"prompt": "a", name: value}
    answered = (await client.post("/generate", json=wishes)).json()
    preferred = (await client.post("/generate", json=wishes, headers=ASYNC)).json()
    assert preferred["detail"] == answered["detail"]


async def test_a_kind_that_is_none_is_told_the_kinds(client: httpx.AsyncClient) -> None:
    answer = await client.post("/jobs", json={"kind": "caption", "request": {}})
    assert await refusal(answer) == (422, "invalid_input", ["kind"])
    assert answer.json()["detail"] == "kind must be one of generate, segment, analyze: 'caption'"


async def test_a_segment_job_is_about_the_last_picture_of_its_caller_even_if_that_is_deleted(
    serve: Serve, fake: FakeTriton
) -> None:
    fake.stalls = True
    async with serve(job_slots=1) as client:
        first = await submitted(client, {"prompt": "a"})
        await asyncio.wait_for(fake.streamed.wait(), 5)
        fake.stalls = False
        image_id = (await client.post("/generate", json={"prompt": "b"})).json()["image_id"]
        answer = (await client.post("/segment")).json()
        job = await submitted(client, {}, kind="segment")
        await client.delete(f"/images/{image_id}")
        await client.delete(first["url"])
        done = await ended(client, job)
    assert (done["request"], done["state"]) == ({"image_id": image_id}, "completed")
    assert done["result"]["segmented_regions"] == answer["segmented_regions"]


@pytest.mark.parametrize(("path", "names"), [("/segment", "segmented_regions"), ("/analyze", "clip_analysis")])
async def test_a_picture_in_a_form_can_be_left_to_a_job(client: httpx.AsyncClient, path: str, names: str) -> None:
    accepted = await client.post(path, files=FORM, headers=ASYNC)
    answer = (await client.post(path, files=FORM)).json()
    assert (accepted.status_code, accepted.headers["Preference-Applied"]) == (202, "respond-async")
    job = await ended(client, accepted.json())
    assert job["result"] == {name: value for name, value in answer.items() if name != "request_id"}
    assert names in job["result"]


async def test_an_analysis_of_a_picture_of_the_gallery_has_that_shape_as_a_job_too(client: httpx.AsyncClient) -> None:
    await client.post("/generate", json={"prompt": "a"})
    accepted = await client.post("/analyze", headers=ASYNC)
    job = await ended(client, accepted.json())
    assert job["result"]["segmentation"]["masks"] == ["region_0", "region_1"]


@pytest.mark.parametrize("prefer", ["respond-async", "wait=5, Respond-Async; x=1"])
async def test_a_preference_is_read_among_others(client: httpx.AsyncClient, prefer: str) -> None:
    answer = await client.post("/generate", json={"prompt": "a"}, headers={"Prefer": prefer})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "respond-async")
    assert (await ended(client, answer.json()))["state"] == "completed"


async def test_other_preferences_change_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.post("/generate", json={"prompt": "a"}, headers={"Prefer": "wait=5"})
    assert (answer.status_code, "preference-applied" in answer.headers) == (200, False)


async def test_cancelling_stops_the_painting_and_says_so_again(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    fake.stalls = True
    job = await submitted(client, {"prompt": "a"})
    await asyncio.wait_for(fake.streamed.wait(), 5)
    first, second = await client.delete(job["url"]), await client.delete(job["url"])
    await asyncio.wait_for(fake.stream_ended.wait(), 5)
    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    assert second.json() == first.json()
    assert [name for _, name, _ in await events(client, job)] == ["cancelled"]
    assert (await client.get("/images")).json()["images"] == []


async def test_a_painting_that_is_refused_fails_its_job_and_names_the_field(
    client: httpx.AsyncClient, fake: FakeTriton
) -> None:
    message = "init_image: the picture is damaged [invalid_input init_image]"
    fake.scripts["demo"] = refuses(grpc.StatusCode.INVALID_ARGUMENT, message)
    job = await ended(client, await submitted(client, {"prompt": "a", "image": SENT}))
    assert (job["state"], job["attempt"]) == ("failed", 1)
    assert job["error"] == {"code": "invalid_input", "detail": "image: the picture is damaged"}


async def test_jobs_are_listed_by_page_and_by_state(client: httpx.AsyncClient) -> None:
    jobs = [await submitted(client, {"prompt": "a", "analyze": False}, priority="batch") for _ in range(3)]
    for job in jobs:
        await ended(client, job)
    first = (await client.get("/jobs?limit=2")).json()
    second = (await client.get(f"/jobs?limit=2&cursor={first['next_cursor']}")).json()
    listed = [job["id"] for job in (*first["jobs"], *second["jobs"])]
    assert (sorted(listed), second["next_cursor"]) == (sorted(job["id"] for job in jobs), None)
    assert {job["priority"] for job in first["jobs"]} == {"batch"}
    assert len((await client.get("/jobs?state=completed")).json()["jobs"]) == 3
    assert (await client.get("/jobs?state=failed")).json()["jobs"] == []
    assert (await client.get("/jobs?state=done")).status_code == 422


@pytest.mark.parametrize("job_id", [NO_SUCH, "x", "..%2fjobs", NO_SUCH.upper()])
async def test_what_is_no_job_is_not_found(client: httpx.AsyncClient, job_id: str) -> None:
    for answer in (
        await client.get(f"/jobs/{job_id}"),
        await client.delete(f"/jobs/{job_id}"),
        await client.get(f"/jobs/{job_id}/events"),
        await client.get(f"/job/{job_id}"),
    ):
        assert answer.status_code == 404


async def test_another_callers_job_is_as_if_it_did_not_exist(client: httpx.AsyncClient) -> None:
    job = await submitted(client, {"prompt": "a"})
    await ended(client, job)
    client.cookies.clear()
    await client.post("/generate", json={"prompt": "b"})
    for address in (job["url"], job["events_url"], f"/job/{job['id']}"):
        assert (await client.get(address)).status_code == 404
    assert (await client.delete(job["url"])).status_code == 404
    assert (await client.get("/jobs")).json()["jobs"] == []


async def test_a_caller_with_enough_waiting_jobs_is_told_to_wait(serve: Serve, fake: FakeTriton) -> None:
    fake.stalls = True
    async with serve(job_slots=1, job_queue_limit_per_caller=1) as client:
        first = await submitted(client, {"prompt": "a"})
        await asyncio.wait_for(fake.streamed.wait(), 5)
        waiting = await submitted(client, {"prompt": "a"})
        refused = await client.post("/jobs", json={"kind": "generate", "request": {"prompt": "a"}})
        position = (await client.get(waiting["url"])).json()["position"]
        await client.delete(first["url"])
        await client.delete(waiting["url"])
    assert (refused.status_code, refused.json()["code"], position) == (429, "quota_exceeded", 1)
    assert int(refused.headers["Retry-After"]) >= 1


async def test_a_story_becomes_a_picture_as_in_reference_004(client: httpx.AsyncClient) -> None:
    pending = (await client.post("/generate-image", json={"story": "A magical forest at sunset..."})).json()
    assert set(pending) == {"job_id", "status"}
    assert pending["status"] == "pending"
    await ended(client, {"id": pending["job_id"]})
    done = (await client.get(f"/job/{pending['job_id']}")).json()
    picture = base64.b64encode(painted(SEED, 64, 64)).decode()
    assert done == {
        "job_id": pending["job_id"],
        "status": "completed",
        "result": {"image": f"data:image/png;base64,{picture}"},
    }


async def test_who_keeps_no_cookies_may_ask_for_a_story_by_its_id(client: httpx.AsyncClient) -> None:
    pending = (await client.post("/generate-image", json={"prompt": "a", "steps": 2})).json()
    await ended(client, {"id": pending["job_id"]})
    client.cookies.clear()
    assert (await client.get(f"/job/{pending['job_id']}")).json()["status"] == "completed"


async def test_a_story_that_was_cancelled_has_failed(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    fake.stalls = True
    pending = (await client.post("/generate-image", json={"story": "a"})).json()
    await asyncio.wait_for(fake.streamed.wait(), 5)
    assert (await client.get(f"/job/{pending['job_id']}")).json()["status"] == "processing"
    await client.delete(f"/jobs/{pending['job_id']}")
    told = (await client.get(f"/job/{pending['job_id']}")).json()
    assert (told["status"], told["error"]) == ("failed", "it was cancelled")


@pytest.mark.parametrize("body", [{}, {"story": "a", "prompt": "a"}, {"story": ""}, {"story": "a", "steps": 101}])
async def test_a_story_that_is_none_is_refused(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await client.post("/generate-image", json=body)).status_code == 422


async def test_other_kinds_of_jobs_are_no_stories(client: httpx.AsyncClient) -> None:
    accepted = await client.post("/segment", files=FORM, headers=ASYNC)
    assert (await client.get(f"/job/{accepted.json()['id']}")).status_code == 404
