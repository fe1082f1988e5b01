"""POST /analyze, /probe, /segment, /visualize: which picture they are about, and the shapes they answer in."""

import base64
import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from modelcore.images import encode_png
from modelcore.text.label_sets import label_set
from tests.service.fake_triton import CONTEXT, FakeTriton, vector_of

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
PICTURE = encode_png(Image.fromarray(PIXELS))
FORM = {"image": ("picture.png", PICTURE, "image/png")}
LONG = "a label of more words than this one reads at all"
ABOUT_PICTURES = ["/analyze", "/probe", "/segment", "/visualize"]
HALF_POLYGONS = [[[[0, 0], [20, 0], [20, 30], [0, 30]]], [[[20, 0], [40, 0], [40, 30], [20, 30]]]]


async def painted(client: httpx.AsyncClient, **wishes: Any) -> Any:
    answer = await client.post("/generate", json={"prompt": "a red circle", **wishes})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refusal(answer: httpx.Response) -> tuple[int, str, list[str]]:
    problem = answer.json()
    return answer.status_code, problem["code"], [each["field"] for each in problem["errors"]]


def body_for(path: str) -> dict[str, Any]:
    return {"prompt": "metal"} if path == "/probe" else {}


async def test_a_sent_picture_is_analyzed_in_the_shape_of_reference_000(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/analyze", files=FORM)).json()
    concepts = answer["clip_analysis"]["concepts"]
    assert list(answer["clip_analysis"]["confidence_scores"]) == concepts
    assert set(concepts) <= set(label_set("demo").labels)
    assert [mask["size"] for mask in answer["basic_segmentation"]["masks"]] == [[30, 40]] * 2
    assert answer["basic_segmentation"]["polygons"] == HALF_POLYGONS
    assert answer["request_id"]


async def test_the_last_picture_is_analyzed_in_the_shape_of_reference_001(client: httpx.AsyncClient) -> None:
    await painted(client)
    answer = (await client.post("/analyze")).json()
    assert set(answer) == {"request_id", "clip_scores", "segmentation", "warnings"}
    first = answer["clip_scores"][0]
    assert first["confidence"] == f"{first['score']:.2%}"
    assert answer["segmentation"]["masks"] == ["region_0", "region_1"]
    assert len(answer["segmentation"]["polygons"]) == 2


async def test_a_form_may_carry_every_wish(client: httpx.AsyncClient) -> None:
    form = {"labels": '["owl", "cat"]', "top": "1", "segment": "false"}
    answer = (await client.post("/analyze", files=FORM, data=form)).json()
    assert answer["clip_analysis"]["concepts"][0] in {"owl", "cat"}
    assert len(answer["clip_analysis"]["concepts"]) == 1
    assert answer["basic_segmentation"]["masks"] == []


async def test_a_text_of_a_form_is_text_even_where_it_looks_like_a_number(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/probe", files=FORM, data={"prompt": "7"})).json()
    assert answer["probe_text"] == "7"


async def test_a_probe_answers_as_reference_001(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/probe", files=FORM, data={"prompt": "metal"})).json()
    cosine = float(vector_of(PICTURE) @ vector_of(b"metal"))
    assert answer["probe_text"] == "metal"
    assert answer["global_match"] == pytest.approx(cosine, abs=1e-6)
    assert answer["global_match_score"] == f"{max(cosine, 0):.2%}"
    assert [set(match) for match in answer["regional_matches"]] == [
        {"region_id", "class_label", "similarity_to_prompt", "similarity"}
    ] * 2


async def test_a_segmentation_answers_as_reference_001(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/segment", files=FORM)).json()
    first, second = answer["segmented_regions"]
    assert (first["region_id"], second["region_id"]) == (0, 1)
    assert first["sam_confidence"] == "0.90"
    assert set(first["clip_analysis"][0]) == {"class", "confidence", "score"}
    assert [first["polygon"], second["polygon"]] == HALF_POLYGONS


@pytest.mark.parametrize("path", ABOUT_PICTURES)
async def test_a_label_that_is_longer_than_clip_reads_is_named(client: httpx.AsyncClient, path: str) -> None:
    form = {"labels": json.dumps(["owl", LONG]), **body_for(path)}
    answer = (await client.post(path, files=FORM, data=form)).json()
    assert answer["warnings"] == [
        f"labels[1]: a text encoder reads at most {CONTEXT} tokens; it did not read all of it"
    ]


@pytest.mark.parametrize("path", ABOUT_PICTURES)
async def test_words_that_were_read_whole_are_no_warning(client: httpx.AsyncClient, path: str) -> None:
    answer = (await client.post(path, files=FORM, data=body_for(path))).json()
    assert answer["warnings"] == []


async def test_a_probed_text_that_is_longer_than_clip_reads_is_named(client: httpx.AsyncClient) -> None:
    form = {"prompt": LONG}
    answers = [(await client.post("/probe", files=FORM, data=form)).json() for _ in range(2)]  # the second from a cache
    told = f"prompt: a text encoder reads at most {CONTEXT} tokens; it did not read all of it"
    assert [answer["warnings"] for answer in answers] == [[told]] * 2


async def test_a_label_of_generate_that_is_longer_than_clip_reads_is_named(client: httpx.AsyncClient) -> None:
    answer = await painted(client, labels=["owl", LONG])
    told = f"labels[1]: a text encoder reads at most {CONTEXT} tokens; it did not read all of it"
    assert answer["warnings"] == ["words were cut", told]  # the fake's own, of the prompt, is the first


async def test_masks_come_as_png_where_asked_for(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/segment", files=FORM, data={"mask_format": "png"})).json()
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["segmented_regions"][0]["mask"]))))
    assert mask.astype(bool).sum() == 20 * 30


async def test_what_is_pointed_at_goes_to_the_model(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    await painted(client)
    await client.post("/segment", json={"points": [[[3, 4], [5, 6]]]})
    arrays = next(arrays for name, arrays in reversed(fake.requests) if name == "segment")
    np.testing.assert_array_equal(arrays["points"], [[[3, 4], [5, 6]]])


async def test_a_visualization_answers_as_reference_001(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/visualize", files=FORM)).json()
    assert (answer["status"], answer["total_regions"]) == ("success", 2)
    assert Image.open(io.BytesIO(base64.b64decode(answer["master_overlay"]))).size == (40, 30)
    spotlights = answer["individual_spotlights"]
    assert [(each["region_id"], each["polygon"]) for each in spotlights] == list(enumerate(HALF_POLYGONS))
    assert all(each["top_class"] in label_set("demo").labels for each in spotlights)


async def test_all_four_on_the_last_picture_segment_it_once(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    await painted(client)
    for path in ABOUT_PICTURES:
        assert (await client.post(path, json=body_for(path))).status_code == 200
    assert [name for name, _ in fake.requests].count("segment") == 1


@pytest.mark.parametrize("path", ABOUT_PICTURES)
async def test_a_picture_may_be_named(client: httpx.AsyncClient, path: str) -> None:
    named = (await painted(client, seed=1))["image_id"]
    await painted(client, seed=2)
    chosen = await client.post(path, json={**body_for(path), "image_id": named})
    last = await client.post(path, json=body_for(path))
    assert (chosen.status_code, last.status_code) == (200, 200)
    if path == "/visualize":
        assert chosen.json()["master_overlay"] != last.json()["master_overlay"]


@pytest.mark.parametrize("path", ABOUT_PICTURES)
async def test_a_caller_without_pictures_is_told_so(client: httpx.AsyncClient, path: str) -> None:
    assert await refusal(await client.post(path, json=body_for(path))) == (404, "not_found", [])


@pytest.mark.parametrize("path", ABOUT_PICTURES)
@pytest.mark.parametrize("cookie", [None, "0" * 32])
async def test_another_callers_picture_is_none(client: httpx.AsyncClient, path: str, cookie: str | None) -> None:
    named = (await painted(client))["image_id"]
    client.cookies.clear()
    headers = {"Cookie": f"triptych_session={cookie}"} if cookie else {}
    for wishes in ({"image_id": named}, {}):
        answer = await client.post(path, json={**body_for(path), **wishes}, headers=headers)
        assert answer.status_code == 404


@pytest.mark.parametrize("image_id", ["", "x", "../../etc/passwd", "0" * 36, "é", "a" * 5000])
async def test_what_is_no_id_is_no_picture(client: httpx.AsyncClient, image_id: str) -> None:
    answer = await client.post("/analyze", json={"image_id": image_id})
    assert await refusal(answer) == (404, "not_found", ["image_id"])


async def test_a_picture_that_is_sent_is_not_kept(client: httpx.AsyncClient) -> None:
    answer = await client.post("/analyze", files=FORM)
    assert "set-cookie" not in answer.headers
    assert (await client.post("/analyze")).status_code == 404


async def test_a_picture_is_sent_or_named_not_both(client: httpx.AsyncClient) -> None:
    answer = await client.post("/analyze", files=FORM, data={"image_id": "x"})
    assert await refusal(answer) == (422, "invalid_input", ["image_id"])


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"", 422), (b"GIF89a", 415), (PICTURE[:60], 422), (b"\x00" * 100, 415)],
)
async def test_a_file_that_is_no_picture_is_refused(client: httpx.AsyncClient, data: bytes, status: int) -> None:
    answer = await client.post("/analyze", files={"image": ("picture.png", data, "image/png")})
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (status, ["image"])


async def test_the_picture_may_be_called_file(client: httpx.AsyncClient) -> None:
    assert (await client.post("/analyze", files={"file": FORM["image"]})).status_code == 200


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"top": "many"}, "top"),
        ({"top": "0"}, "top"),
        ({"top": "2.5"}, "top"),
        ({"segment": "yes"}, "segment"),
        ({"top": "null"}, "top"),
        ({"unknown": "1"}, "unknown"),
        ({"labels": "a\x00b"}, "labels"),
        ({"labels": "imagenet"}, "labels"),
    ],
)
async def test_a_wrong_field_of_a_form_is_named(client: httpx.AsyncClient, form: dict[str, str], field: str) -> None:
    answer = await client.post("/analyze", files=FORM, data=form)
    assert answer.status_code in {404, 422}
    assert [each["field"] for each in answer.json()["errors"]] == [field]


async def test_two_pictures_are_one_too_many(client: httpx.AsyncClient) -> None:
    answer = await client.post("/analyze", files=[("image", FORM["image"]), ("image", FORM["image"])])
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=a", b"x", 400),
        ("multipart/form-data; boundary=a", b"--a\r\nContent-Disposition: form-data\r\n\r\nx\r\n--a--\r\n", 400),
        ("multipart/form-data; boundary=a; charset=klingon", b"--a--\r\n", 400),
        ("multipart/form-data; boundary=a", b"--a\r\nbroken header\r\n\r\nx", 400),
        ("application/json", b"{", 400),
        ("application/json", b"[]", 422),
        ("application/json", b'{"top": true}', 422),
        ("image/png", PICTURE, 415),
        ("text/plain", b"{}", 415),
    ],
)
async def test_a_hostile_body_gets_a_clean_refusal(
    client: httpx.AsyncClient, content_type: str, body: bytes, status: int
) -> None:
    answer = await client.post("/analyze", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ABOUT_PICTURES)
async def test_it_stands_under_api_too(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.post(f"/api{path}", files=FORM, data=body_for(path))).status_code == 200
