"""/jobs, `Prefer: respond-async` and /generate-image: what is accepted, what is told of it, and what comes of it."""

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from PIL import Image

from modelcore.images import PictureLimits, decode
from tests.odd_pictures import encoded
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
    kinds = "generate, variations, generate-image, segment, analyze, probe, visualize"
    assert answer.json()["detail"] == f"kind must be one of {kinds}: 'caption'"


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


async def test_another_job_cannot_be_opened_by_its_id_alone(client: httpx.AsyncClient) -> None:
    job = await submitted(client, {"prompt": "a"})
    await ended(client, job)
    assert (await client.get(f"/job/{job['id']}")).json()["status"] == "completed"
    client.cookies.clear()
    assert (await client.get(f"/job/{job['id']}")).status_code == 404


async def test_a_story_whose_picture_was_deleted_is_completed_without_it(client: httpx.AsyncClient) -> None:
    pending = (await client.post("/generate-image", json={"story": "a"})).json()
    image_id = (await ended(client, {"id": pending["job_id"]}))["result"]["image_id"]
    await client.delete(f"/images/{image_id}")
    told = await client.get(f"/job/{pending['job_id']}")
    gone = {"job_id": pending["job_id"], "status": "completed", "error": "its picture was deleted"}
    assert (told.status_code, told.json()) == (200, gone)


async def test_a_story_may_be_submitted_as_a_job_too(client: httpx.AsyncClient) -> None:
    job = await submitted(client, {"story": "a", "steps": 2}, kind="generate-image")
    assert (await ended(client, job))["steps"] == 2
    client.cookies.clear()
    assert (await client.get(f"/job/{job['id']}")).json()["status"] == "completed"


WITH_SECRETS = Image.Exif()
WITH_SECRETS[0x0112], WITH_SECRETS[0x010E] = 6, "where I live"


def photo(width: int = 64, height: int = 64) -> bytes:
    """On its side, and with a description."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG", exif=WITH_SECRETS)


def stored(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in (folder / "objects").rglob("*") if path.is_file()]


async def test_a_picture_that_is_sent_with_a_job_is_kept_without_its_metadata_and_upright(
    client: httpx.AsyncClient, fake: FakeTriton, tmp_path: Path
) -> None:
    sent = photo()
    wishes = {"prompt": "a", "image": base64.b64encode(sent).decode(), "analyze": False}
    await ended(client, await submitted(client, wishes))
    assert [data for data in stored(tmp_path) if b"where I live" in data or b"Exif" in data] == []
    painted_from = decode(asked(fake)["init_image"].item(), PictureLimits())
    assert np.array_equal(np.asarray(painted_from), np.asarray(decode(sent, PictureLimits())))


@pytest.mark.parametrize("path", ["/segment", "/analyze", "/probe"])
async def test_a_picture_in_a_form_is_kept_without_its_metadata(
    client: httpx.AsyncClient, tmp_path: Path, path: str
) -> None:
    form = {"image": ("photo.jpg", photo(), "image/jpeg")}
    accepted = await client.post(path, files=form, data={"prompt": "a"} if path == "/probe" else {}, headers=ASYNC)
    assert (await ended(client, accepted.json()))["state"] == "completed"
    kept = stored(tmp_path)
    assert kept
    assert [data for data in kept if b"where I live" in data or b"Exif" in data] == []


@pytest.fixture
async def parent(client: httpx.AsyncClient) -> str:
    wishes = {"prompt": "a red circle", "seed": 7, "width": 96, "analyze": False}
    return str((await client.post("/generate", json=wishes)).json()["image_id"])


@pytest.mark.parametrize("how", [{"seed": 5}, {"strength": 0.5}], ids=["in its noise", "painted over"])
async def test_variations_can_be_left_to_a_job(client: httpx.AsyncClient, parent: str, how: dict[str, Any]) -> None:
    wishes = {"image_id": parent, "num_images": 2, "steps": 4, **how}
    answer = (await client.post("/variations", json=wishes)).json()
    accepted = await client.post("/variations", json=wishes, headers=ASYNC)
    assert (accepted.status_code, accepted.json()["kind"]) == (202, "variations")
    job = await ended(client, accepted.json())
    assert (job["state"], job["step"], job["steps"]) == ("completed", 8, 8)
    assert set(job["result"]) == set(answer) - {"request_id", "generated_image", "seed"}
    for name in ("parent_id", "prompt", "clip_scores", "warnings"):
        assert job["result"][name] == answer[name]
    assert [each["seed"] for each in job["result"]["images"]] == [each["seed"] for each in answer["images"]]


async def test_a_job_of_variations_asks_the_pipeline_what_the_endpoint_asks(
    client: httpx.AsyncClient, fake: FakeTriton, parent: str
) -> None:
    wishes = {"image_id": parent, "seed": 100, "preview_every": 5}
    await ended(client, await submitted(client, wishes, kind="variations"))
    by_job = asked(fake)
    await client.post("/variations", json=wishes, headers={"Accept": "text/event-stream"})
    at_once = asked(fake)
    assert {name: array.item() for name, array in by_job.items()} == {
        name: array.item() for name, array in at_once.items()
    }


async def test_variations_of_a_job_know_their_parent(client: httpx.AsyncClient, parent: str) -> None:
    job = await ended(client, await submitted(client, {}, kind="variations"))
    child = (await client.get(f"/images/{job['result']['image_id']}")).json()
    assert (child["parent_id"], child["relation"]) == (parent, "variation_of")
    assert job["request"] == {"image_id": parent}


@pytest.mark.parametrize("how", [{}, {"strength": 0.5}], ids=["in its noise", "painted over"])
async def test_a_job_of_variations_outlives_the_picture_that_they_are_of(
    serve: Serve, fake: FakeTriton, how: dict[str, Any]
) -> None:
    async with serve(job_slots=1) as client:
        parent = (await client.post("/generate", json={"prompt": "a", "seed": 7})).json()["image_id"]
        fake.stalls = True
        first = await submitted(client, {"prompt": "a"})
        await asyncio.wait_for(fake.streamed.wait(), 5)
        fake.stalls = False
        job = await submitted(client, {"image_id": parent, **how}, kind="variations")
        await client.delete(f"/images/{parent}")
        await client.delete(first["url"])
        done = await ended(client, job)
        child = (await client.get(f"/images/{done['result']['image_id']}")).json()
    assert (done["state"], child["parent_id"]) == ("completed", None)


async def test_while_clip_is_away_variations_of_a_wordless_picture_are_accepted_all_the_same(
    client: httpx.AsyncClient, fake: FakeTriton
) -> None:
    """It is asked for the words when the job's turn comes, not before."""
    fake.scripts["clip_image_bytes"] = refuses(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    assert (await client.post("/variations", json={"image": SENT})).status_code == 503
    accepted = await client.post("/variations", json={"image": SENT}, headers=ASYNC)
    del fake.scripts["clip_image_bytes"]
    assert accepted.status_code == 202
    assert accepted.json()["request"] == {}
    await client.delete(accepted.json()["url"])


async def test_a_wordless_picture_is_varied_by_what_clip_sees_in_it(
    client: httpx.AsyncClient, fake: FakeTriton
) -> None:
    job = await ended(client, await submitted(client, {"image": SENT}, kind="variations"))
    sent = {name: array.item() for name, array in asked(fake).items()}
    assert (job["result"]["prompt"], sent["init_image"]) == (sent["prompt"].decode(), PICTURE)
    assert job["result"]["parent_id"] is None


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"num_images": 9}, "num_images"),
        ({"image": SENT, "variation_strength": 0.5}, "variation_strength"),
        ({"image": "@@@"}, "image"),
        ({"labels": []}, "labels"),
    ],
)
async def test_wrong_variations_are_refused_before_they_are_a_job(
    client: httpx.AsyncClient, parent: str, wishes: dict[str, Any], field: str
) -> None:
    refused = await client.post("/variations", json=wishes, headers=ASYNC)
    assert await refusal(refused) == (422, "invalid_input", [field])
    job = await client.post("/jobs", json={"kind": "variations", "request": wishes})
    assert await refusal(job) == (422, "invalid_input", [f"request.{field}"])
    assert (await client.get("/jobs")).json()["jobs"] == []


async def test_a_probe_can_be_left_to_a_job(client: httpx.AsyncClient, parent: str) -> None:
    answer = (await client.post("/probe", json={"prompt": "metal"})).json()
    accepted = await client.post("/probe", json={"prompt": "metal"}, headers=ASYNC)
    job = await ended(client, accepted.json())
    assert (accepted.status_code, job["kind"], job["result"]) == (202, "probe", answer)


async def test_a_wrong_probe_is_refused_before_it_is_a_job(client: httpx.AsyncClient, parent: str) -> None:
    refused = await client.post("/probe", json={"prompt": "a", "labels": "x"}, headers=ASYNC)
    assert (refused.status_code, (await client.get("/jobs")).json()["jobs"]) == (404, [])


async def test_drawings_can_be_left_to_a_job_which_keeps_them_beside_its_answer(client: httpx.AsyncClient) -> None:
    wishes = {"cutouts": "true", "longest_px": "64"}
    answer = (await client.post("/visualize", files=FORM, data=wishes)).json()
    accepted = await client.post("/visualize", files=FORM, data=wishes, headers=ASYNC)
    job = await ended(client, accepted.json())
    result = job["result"]
    assert (accepted.status_code, job["kind"], job["state"]) == (202, "visualize", "completed")
    assert (result["total_regions"], "base64" in str(result)) == (2, False)
    drawn = [result["master_overlay_url"]]
    drawn += [each[name] for each in result["individual_spotlights"] for name in ("image_url", "cutout_url")]
    told = [answer["master_overlay"]]
    told += [each[name] for each in answer["individual_spotlights"] for name in ("image", "cutout")]
    files = [await client.get(address) for address in drawn]
    assert [file.headers["content-type"] for file in files] == ["image/png"] * 5
    assert [base64.b64encode(file.content).decode() for file in files] == told


async def test_drawings_are_there_after_a_restart_and_another_caller_never_sees_them(serve: Serve) -> None:
    async with serve() as client:
        accepted = await client.post("/visualize", files=FORM, headers=ASYNC)
        job = await ended(client, accepted.json())
        cookies = dict(client.cookies)
    async with serve() as client:
        address = job["result"]["master_overlay_url"]
        assert (await client.get(address)).status_code == 404
        client.cookies.update(cookies)
        assert (await client.get(address)).status_code == 200


@pytest.mark.parametrize("name", ["image", "master_overlay_", "spotlight_9", "..%2f", "Master_overlay"])
async def test_a_file_that_the_answer_does_not_name_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    """Nor is the picture that came with the request."""
    job = await ended(client, (await client.post("/visualize", files=FORM, headers=ASYNC)).json())
    assert (await client.get(f"{job['url']}/files/{name}")).status_code == 404
