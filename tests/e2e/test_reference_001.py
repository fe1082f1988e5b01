"""Every request that reference 001 shows, one after the other as its client sends them, field by field."""

import base64
import io
import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

from modelcore.images import encode_png
from tests.triptych_process import Addresses

pytestmark = pytest.mark.triton
TIMEOUT_S = 120.0
PERCENT = re.compile(r"\d{1,3}\.\d\d%")
PROMPT = "a large red circle above a small blue square"


@pytest.fixture(scope="module")
def client(triptych: Addresses) -> Iterator[httpx.Client]:
    """Its cookies are what makes a picture "the last one"."""
    with httpx.Client(base_url=f"http://{triptych.rest}", timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture(scope="module")
def generated(client: httpx.Client) -> Any:
    """Close to a drawn picture, so that there are things to be found however well the family paints."""
    start = {"image": base64.b64encode(drawn()).decode(), "strength": 0.1}
    return posted(client, "/generate", {"prompt": PROMPT, "seed": 7, **start})


@pytest.fixture(scope="module")
def analyzed(client: httpx.Client, generated: Any) -> Any:
    return posted(client, "/analyze")


@pytest.fixture(scope="module")
def probed(client: httpx.Client, generated: Any) -> Any:
    return posted(client, "/probe", {"prompt": "metal"})


@pytest.fixture(scope="module")
def segmented(client: httpx.Client, generated: Any) -> Any:
    return posted(client, "/segment")


@pytest.fixture(scope="module")
def visualized(client: httpx.Client, generated: Any) -> Any:
    return posted(client, "/visualize")


def drawn() -> bytes:
    picture = Image.new("RGB", (128, 128), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((34, 8, 94, 68), fill=(220, 30, 30))
    draw.rectangle((50, 86, 80, 116), fill=(30, 60, 220))
    return encode_png(picture)


def posted(client: httpx.Client, path: str, body: dict[str, Any] | None = None) -> Any:
    answer = client.post(path, json=body) if body else client.post(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def picture(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def is_polygon(rings: Any) -> bool:
    """As the reference shows one: a list of rings, of points, of two numbers."""
    points = [point for ring in rings for point in ring]
    return all(len(point) == 2 and {type(number) for number in point} <= {int, float} for point in points)


def test_the_prompt_of_the_reference_is_painted_too(client: httpx.Client) -> None:
    with httpx.Client(base_url=client.base_url, timeout=TIMEOUT_S) as another_caller:
        assert posted(another_caller, "/generate", {"prompt": "red apple in white plate"})["generated_image"]


def test_generate_answers_with_a_uuid_a_picture_and_classes(generated: Any) -> None:
    assert str(uuid.UUID(generated["request_id"])) == generated["request_id"]
    assert generated["generated_image"].startswith("iVBORw0KGgo")
    first = generated["clip_scores"][0]
    assert isinstance(first["class"], str)
    assert PERCENT.fullmatch(first["confidence"])


def test_analyze_without_a_body_is_about_the_last_picture(generated: Any, analyzed: Any) -> None:
    assert analyzed["clip_scores"] == generated["clip_scores"]
    assert analyzed["segmentation"]["polygons"] == generated["basic_segmentation"]["polygons"]


def test_analyze_names_its_masks_and_has_polygons(analyzed: Any) -> None:
    masks, polygons = analyzed["segmentation"]["masks"], analyzed["segmentation"]["polygons"]
    assert masks == [f"region_{number}" for number in range(len(polygons))]
    assert masks
    assert all(map(is_polygon, polygons))


def test_probe_repeats_its_text_and_scores_whole_and_regions(probed: Any, analyzed: Any) -> None:
    assert probed["probe_text"] == "metal"
    assert PERCENT.fullmatch(probed["global_match_score"])
    matches = probed["regional_matches"]
    assert [match["region_id"] for match in matches] == list(range(len(analyzed["segmentation"]["masks"])))
    assert all(PERCENT.fullmatch(match["similarity_to_prompt"]) for match in matches)
    assert all(isinstance(match["class_label"], str) for match in matches)


def test_segment_tells_of_each_region(segmented: Any, analyzed: Any) -> None:
    regions = segmented["segmented_regions"]
    assert str(uuid.UUID(segmented["request_id"])) == segmented["request_id"]
    assert [region["region_id"] for region in regions] == list(range(len(regions)))
    assert [region["polygon"] for region in regions] == analyzed["segmentation"]["polygons"]
    assert all(re.fullmatch(r"[01]\.\d\d", region["sam_confidence"]) for region in regions)
    assert all(PERCENT.fullmatch(score["confidence"]) for region in regions for score in region["clip_analysis"])


def test_visualize_draws_the_overlay_and_a_spotlight_for_every_region(visualized: Any, segmented: Any) -> None:
    assert (visualized["status"], visualized["total_regions"]) == ("success", len(segmented["segmented_regions"]))
    assert picture(visualized["master_overlay"]).size == (128, 128)
    for spotlight, region in zip(visualized["individual_spotlights"], segmented["segmented_regions"], strict=True):
        assert spotlight["region_id"] == region["region_id"]
        assert spotlight["polygon"] == region["polygon"]
        assert spotlight["top_class"] == region["clip_analysis"][0]["class"]
        assert picture(spotlight["image"]).size == (128, 128)


def test_a_second_visualize_reuses_the_segmentation(client: httpx.Client, visualized: Any) -> None:
    before = cache_lookups(client, "regions", "miss")
    assert posted(client, "/visualize") == visualized
    assert cache_lookups(client, "regions", "miss") == before


def test_errors_are_structured_json(client: httpx.Client) -> None:
    with httpx.Client(base_url=client.base_url, timeout=TIMEOUT_S) as another_caller:
        answer = another_caller.post("/visualize")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "not_found"


def cache_lookups(client: httpx.Client, cache: str, outcome: str) -> float:
    start = f'triptych_cache_lookups_total{{cache="{cache}",outcome="{outcome}"}}'
    (line,) = [line for line in client.get("/metrics").text.splitlines() if line.startswith(start)]
    return float(line.rpartition(" ")[2])
