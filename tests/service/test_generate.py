"""POST /generate: what is asked of Triton, what is answered and kept, and what a client that leaves causes."""

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
import structlog
from PIL import Image

from modelcore.images import encode_png
from orchestrator.app import create_app
from orchestrator.edge import event_stream
from orchestrator.settings import Settings
from orchestrator.storage.objects import sha256_of
from tests.service.conftest import FAMILIES, Serve
from tests.service.fake_triton import SEED, FakeTriton, hangs, painted, refuses
from tests.service.test_picture_endpoints import refusal

PICTURE = encode_png(Image.new("RGB", (64, 64), "blue"))
SENT = base64.b64encode(PICTURE).decode()
STREAMED = {"Accept": "text/event-stream"}


def events_of(answer: httpx.Response) -> list[tuple[str, Any]]:
    return [(name, json.loads(data)) for name, data in re.findall(r"event: (\w+)\ndata: (.*)\n\n", answer.text)]


def asked(fake: FakeTriton) -> dict[str, Any]:
    return next(dict(arrays) for name, arrays in reversed(fake.requests) if name == "demo" and "cancel" not in arrays)


async def test_a_prompt_is_enough(client: httpx.AsyncClient) -> None:
    answer = await client.post("/generate", json={"prompt": "a red circle"})
    body = answer.json()
    assert base64.b64decode(body["generated_image"]) == painted(SEED, 64, 64)
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert list(body["clip_analysis"]["confidence_scores"]) == body["clip_analysis"]["concepts"]
    assert body["clip_scores"][0]["class"] == body["clip_analysis"]["concepts"][0]
    assert len(body["basic_segmentation"]["masks"]) == len(body["basic_segmentation"]["polygons"]) == 2
    assert (body["seed"], body["warnings"]) == (SEED, ["words were cut"])
    assert set(body["timings_ms"]) == {"paint", "store", "analyze", "total"}


async def test_what_was_left_out_is_left_to_the_family(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    await client.post("/generate", json={"prompt": "a"})
    assert set(asked(fake)) == {"prompt", "output_format"}


async def test_every_wish_reaches_the_pipeline_in_its_own_type(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    wishes = {"negative_prompt": "blue", "steps": 4, "guidance_scale": 7.5, "seed": 2**63 - 1, "scheduler": "ddim"}
    pictures = {"image": SENT, "mask_image": f"data:image/png;base64,{SENT}", "strength": 1, "keep_unmasked": True}
    answer = await client.post("/generate", json={"prompt": "a", **wishes, **pictures, "outpaint": [0, 8, 0, 8]})
    sent = asked(fake)
    assert answer.status_code == 200
    assert {name: array.dtype.name for name, array in sent.items() if array.dtype != np.object_} == {
        "steps": "int32",
        "guidance_scale": "float32",
        "seed": "int64",
        "strength": "float32",
        "keep_unmasked": "bool",
        "outpaint": "int32",
    }
    assert sent["init_image"].item() == sent["mask_image"].item() == PICTURE
    assert (sent["negative_prompt"].item(), sent["scheduler"].item()) == (b"blue", b"ddim")


async def test_every_picture_is_kept_and_can_be_fetched(client: httpx.AsyncClient) -> None:
    body = (await client.post("/generate", json={"prompt": "a", "num_images": 3, "seed": 7, "width": 96})).json()
    assert [(image["seed"], image["width"], image["height"]) for image in body["images"]] == [
        (7, 96, 64),
        (8, 96, 64),
        (9, 96, 64),
    ]
    files = [(await client.get(image["url"])).content for image in body["images"]]
    assert files == [painted(seed, 96, 64) for seed in (7, 8, 9)]
    assert body["image_id"] == body["images"][0]["id"]


async def test_nothing_is_looked_at_where_nobody_asks(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    body = (await client.post("/generate", json={"prompt": "a", "analyze": False})).json()
    assert (body["clip_scores"], body["basic_segmentation"]) == ([], {"masks": [], "polygons": []})
    assert "segment" not in [name for name, _ in fake.requests]


async def test_own_labels_are_what_is_looked_for(client: httpx.AsyncClient) -> None:
    body = (await client.post("/generate", json={"prompt": "a", "labels": ["owl", "cat"], "segment": False})).json()
    assert set(body["clip_analysis"]["concepts"]) == {"owl", "cat"}


async def test_a_stream_tells_of_every_step_and_then_answers(client: httpx.AsyncClient) -> None:
    wishes = {"prompt": "a", "steps": 4, "preview_every": 2}
    answer = await client.post("/generate", json=wishes, headers=STREAMED)
    *steps, (last, body) = events_of(answer)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [(name, data["step"], data["steps"]) for name, data in steps] == [
        ("progress", step, 4) for step in range(1, 5)
    ]
    previews = [base64.b64decode(data["preview"]) for _, data in steps if data["preview"]]
    assert previews == [painted(2, 8, 8), painted(4, 8, 8)]
    assert (last, base64.b64decode(body["generated_image"])) == ("completed", painted(SEED, 64, 64))
    assert set(body["clip_scores"][0]) == {"class", "confidence", "score"}


async def test_a_stream_has_previews_unless_told_otherwise(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    await client.post("/generate", json={"prompt": "a"}, headers=STREAMED)
    assert asked(fake)["preview_every"].tolist() == [5]


@pytest.mark.parametrize("headers", [{}, STREAMED], ids=["answered", "streamed"])
async def test_a_refusal_of_the_family_names_the_field(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.post("/generate", json={"prompt": "a", "steps": 101}, headers=headers)
    assert await refusal(answer) == (422, "invalid_input", ["steps"])
    assert answer.json()["detail"] == "steps must be between 1 and 100: 101"


async def test_a_refused_start_picture_has_the_requests_name(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    message = "init_image: the picture is damaged [invalid_input init_image]"
    fake.scripts["demo"] = refuses(grpc.StatusCode.INVALID_ARGUMENT, message)
    answer = await client.post("/generate", json={"prompt": "a", "image": SENT})
    assert await refusal(answer) == (422, "invalid_input", ["image"])
    assert answer.json()["detail"] == "image: the picture is damaged"


async def test_a_stream_that_fails_later_ends_in_a_problem(serve: Serve, fake: FakeTriton) -> None:
    fake.stalls = True
    async with serve(generate_deadline_s=0.5) as client:
        answer = await client.post("/generate", json={"prompt": "a"}, headers=STREAMED)
    (first, _), (last, problem) = events_of(answer)
    assert (first, last, problem["status"], problem["code"]) == ("progress", "failed", 503, "deadline_exceeded")


@pytest.mark.parametrize("path", ["/generate", "/variations", "/v1/images/generations", "/v1/images/edits"])
async def test_the_pauses_of_a_stream_are_filled(
    serve: Serve, fake: FakeTriton, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Painting stands still after its first step, until its deadline ends it."""
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_EVERY_S", 0.05)
    wishes: dict[str, dict[str, Any]] = {
        "/generate": {"json": {"prompt": "a"}, "headers": STREAMED},
        "/variations": {"json": {"image": SENT, "prompt": "a"}, "headers": STREAMED},
        "/v1/images/generations": {"json": {"prompt": "a", "stream": True}},
        "/v1/images/edits": {"data": {"prompt": "a", "stream": "true"}, "files": {"image": PICTURE}},
    }
    fake.stalls = True
    async with serve(generate_deadline_s=0.5) as client:
        answer = await client.post(path, **wishes[path])
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert ": still here\n\n" in answer.text
    assert "deadline_exceeded" in answer.text


@pytest.mark.parametrize("model", ["segment", "clip_image_bytes", "clip_text_string"])
async def test_a_failed_analysis_loses_no_picture(client: httpx.AsyncClient, fake: FakeTriton, model: str) -> None:
    fake.scripts[model] = refuses(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    answer = await client.post("/generate", json={"prompt": "a"})
    body = answer.json()
    assert (answer.status_code, base64.b64decode(body["generated_image"])) == (200, painted(SEED, 64, 64))
    assert body["clip_analysis"] == {"concepts": [], "confidence_scores": {}}
    assert (body["clip_scores"], body["basic_segmentation"]) == ([], {"masks": [], "polygons": []})
    assert body["warnings"][0] == "words were cut"
    assert body["warnings"][1].startswith("the picture could not be analyzed")
    assert (await client.get(f"/images/{body['image_id']}")).status_code == 200


async def test_storing_and_analyzing_go_on_together(
    client: httpx.AsyncClient, fake: FakeTriton, tmp_path: Path
) -> None:
    """The analysis waits until the picture's bytes are kept, which they could not be if one came after the other."""
    name = sha256_of(painted(SEED, 64, 64))
    kept = tmp_path / "objects" / name[:2] / name

    async def wait_for_the_bytes(_context: Any) -> None:
        while not kept.exists():
            await asyncio.sleep(0)

    fake.scripts["segment"] = wait_for_the_bytes
    answer = await asyncio.wait_for(client.post("/generate", json={"prompt": "a"}), timeout=30)
    assert (answer.status_code, answer.json()["warnings"]) == (200, ["words were cut"])  # and no failed analysis


async def test_the_time_in_triton_is_told(client: httpx.AsyncClient) -> None:
    answer = await client.post("/generate", json={"prompt": "a"})
    told = dict(re.findall(r"(\w+);dur=([0-9.]+)", answer.headers["Server-Timing"]))
    assert 0 < float(told["triton"]) < float(told["total"])


async def test_painting_that_takes_too_long_is_stopped(serve: Serve, fake: FakeTriton) -> None:
    fake.scripts["demo"] = hangs
    async with serve(generate_deadline_s=0.2) as client:
        answer = await client.post("/generate", json={"prompt": "a"})
    assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")
    assert "Retry-After" in answer.headers
    await asyncio.wait_for(fake.stream_ended.wait(), timeout=5)


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "a" * 2001}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"prompt": "a", "steps": "20"}, "steps"),
        ({"prompt": "a", "steps": True}, "steps"),
        ({"prompt": "a", "steps": 2**31}, "steps"),
        ({"prompt": "a", "seed": 2**63}, "seed"),
        ({"prompt": "a", "guidance_scale": 1e300}, "guidance_scale"),
        ({"prompt": "a", "outpaint": [1, 2]}, "outpaint"),
        ({"prompt": "a", "image": "not base64!"}, "image"),
        ({"prompt": "a", "image": "http://127.0.0.1/a.png"}, "image"),
        ({"prompt": "a", "mask_image": ""}, "mask_image"),
        ({"prompt": "a", "output_format": "gif"}, "output_format"),
        ({"prompt": "a", "sampler": "x"}, "sampler"),
        ({"prompt": "a", "labels": []}, "labels"),
    ],
)
async def test_a_wrong_wish_is_refused_and_named(
    client: httpx.AsyncClient, fake: FakeTriton, wishes: dict[str, Any], field: str
) -> None:
    answer = await client.post("/generate", json=wishes)
    assert await refusal(answer) == (422, "invalid_input", [field])
    assert not fake.streamed.is_set()


async def test_a_picture_of_an_unread_format_is_415(client: httpx.AsyncClient) -> None:
    gif = base64.b64encode(b"GIF89a" + b"\x00" * 20).decode()
    answer = await client.post("/generate", json={"prompt": "a", "image": gif})
    assert await refusal(answer) == (415, "unsupported_format", ["image"])


async def test_another_model_than_the_family_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.post("/generate", json={"prompt": "a", "model": "demo"})).status_code == 200
    answer = await client.post("/generate", json={"prompt": "a", "model": "../demo"})
    assert await refusal(answer) == (404, "not_found", ["model"])


@pytest.mark.parametrize("headers", [{}, STREAMED], ids=["answered", "streamed"])
async def test_who_makes_a_picture_gets_a_session_that_scripts_cannot_read(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await client.post("/generate", json={"prompt": "a"}, headers=headers)
    name, *rest = answer.headers["set-cookie"].split("; ")
    assert re.fullmatch(r"triptych_session=[0-9a-f]{32}", name)
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(rest)


async def test_a_session_is_kept(client: httpx.AsyncClient) -> None:
    await client.post("/generate", json={"prompt": "a"})
    answer = await client.post("/generate", json={"prompt": "b"})
    assert "set-cookie" not in answer.headers
    assert len((await client.get("/images")).json()["images"]) == 2


async def test_a_malformed_session_is_replaced(client: httpx.AsyncClient) -> None:
    headers = {"Cookie": "triptych_session=' OR 1=1"}
    answer = await client.post("/generate", json={"prompt": "a"}, headers=headers)
    assert "set-cookie" in answer.headers


async def test_it_stands_under_api_too(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/generate", json={"prompt": "a"})).status_code == 200


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
async def test_a_client_that_leaves_ends_the_painting(fake: FakeTriton, tmp_path: Any, accept: str) -> None:
    fake.stalls = True
    settings = Settings(triton_address=fake.address, state_folder=tmp_path, families_folder=FAMILIES)
    app = create_app(settings)
    body = json.dumps({"prompt": "a", "steps": 4}).encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await fake.streamed.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        await asyncio.sleep(0)

    headers = {"host": "127.0.0.1", "content-type": "application/json", "accept": accept}
    scope = {"type": "http", "asgi": {"spec_version": "2.3"}, "http_version": "1.1", "method": "POST"} | {
        "scheme": "http",
        "path": "/generate",
        "raw_path": b"/generate",
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "app": app,
    }
    async with app.router.lifespan_context(app):
        with structlog.testing.capture_logs() as lines:
            await app(scope, receive, send)  # type: ignore[arg-type]
        await asyncio.wait_for(fake.stream_ended.wait(), timeout=5)
    assert [line["level"] for line in lines if line["event"] == "unhandled error"] == []


@pytest.mark.parametrize(("wishes", "relation"), [({}, "made_from"), ({"mask_image": SENT}, "edited_from")])
async def test_a_picture_of_yours_may_be_the_start(
    client: httpx.AsyncClient, fake: FakeTriton, wishes: dict[str, str], relation: str
) -> None:
    parent = (await client.post("/generate", json={"prompt": "a", "seed": 7})).json()["image_id"]
    child = (await client.post("/generate", json={"prompt": "b", "image_id": parent, **wishes})).json()["image_id"]
    assert asked(fake)["init_image"].item() == painted(7, 64, 64)
    details = (await client.get(f"/images/{child}")).json()
    assert (details["parent_id"], details["relation"]) == (parent, relation)


async def test_a_start_is_sent_or_named_and_not_both(client: httpx.AsyncClient) -> None:
    wishes = {"prompt": "a", "image": SENT, "image_id": "5e0d8f3c-9a12-4f8a-b126-7a2b9e149c3d"}
    assert await refusal(await client.post("/generate", json=wishes)) == (422, "invalid_input", ["image_id"])
