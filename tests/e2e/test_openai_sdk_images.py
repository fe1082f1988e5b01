"""The real `openai` SDK's pictures, painted by the demo family on a real Triton."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from numpy.typing import NDArray
from openai.types import ImagesResponse
from PIL import Image

from tests.triptych_process import Addresses
from training.world import World

pytestmark = pytest.mark.triton
PROMPT = "a large red circle"
Pixels = NDArray[np.int16]  # signed, so that differences are


@pytest.fixture
def client(triptych: Addresses) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://{triptych.rest}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def scene() -> bytes:
    return encoded(World("held_out", seed=0).sample(0).drawing.pixels)


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def opened(b64_json: str | None) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(b64_json or "")))


def pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture.convert("RGB"), dtype=np.int16)


def first(answer: ImagesResponse) -> Image.Image:
    return opened((answer.data or [])[0].b64_json)


def test_one_seed_is_one_picture(client: openai.OpenAI) -> None:
    wishes: dict[str, Any] = {"model": "demo", "prompt": PROMPT, "quality": "low", "extra_body": {"seed": 7}}
    one, again = first(client.images.generate(**wishes)), first(client.images.generate(**wishes))
    assert (one.format, one.size) == ("PNG", (128, 128))
    assert np.array_equal(pixels(one), pixels(again))


def test_three_pictures_by_url_open_without_the_sdk(client: openai.OpenAI) -> None:
    answer = client.images.generate(
        model="demo", prompt=PROMPT, n=3, size="64x128", quality="low", response_format="url"
    )
    files = [httpx.get(item.url or "").raise_for_status().content for item in answer.data or []]
    assert [Image.open(io.BytesIO(file)).size for file in files] == [(64, 128)] * 3
    assert len(set(files)) == 3


def test_a_stream_shows_two_previews_and_then_the_picture(client: openai.OpenAI) -> None:
    stream = client.images.generate(model="demo", prompt=PROMPT, stream=True, partial_images=2)
    events = list(stream)
    assert [event.type.removeprefix("image_generation.") for event in events] == [
        "partial_image",
        "partial_image",
        "completed",
    ]
    assert [opened(event.b64_json).size for event in events] == [(128, 128)] * 3
    assert [event.size for event in events] == ["128x128"] * 3


def test_a_later_preview_is_nearer_to_the_picture(client: openai.OpenAI) -> None:
    """With a scheduler that adds no noise on the way: else what it foresees changes until the end."""
    more = {"seed": 7, "scheduler": "ddim"}
    stream = client.images.generate(model="demo", prompt=PROMPT, stream=True, partial_images=2, extra_body=more)
    early, late, last = [pixels(opened(event.b64_json)) for event in stream]
    assert np.abs(late - last).mean() < np.abs(early - last).mean()


def test_less_compression_quality_is_a_smaller_file(client: openai.OpenAI) -> None:
    sizes = []
    for quality in (10, 90):
        answer = client.images.generate(
            model="demo",
            prompt=PROMPT,
            quality="low",
            output_format="jpeg",
            output_compression=quality,
            extra_body={"seed": 7},
        )
        assert first(answer).format == "JPEG"
        sizes.append(len((answer.data or [])[0].b64_json or ""))
    assert sizes[0] < sizes[1]


def test_an_edit_leaves_what_is_not_masked_as_it_was(client: openai.OpenAI, scene: bytes) -> None:
    mask = np.full((128, 128, 4), 255, np.uint8)
    mask[32:96, 32:96, 3] = 0
    answer = client.images.edit(model="demo", image=scene, mask=encoded(mask), prompt=PROMPT, quality="low")
    before, after = pixels(Image.open(io.BytesIO(scene))), pixels(first(answer))
    kept = mask[..., 3] == 255
    assert np.array_equal(before[kept], after[kept])
    assert np.abs(before - after)[~kept].mean() > 1


def test_an_edit_without_a_mask_keeps_more_the_less_strength_it_has(client: openai.OpenAI, scene: bytes) -> None:
    before = pixels(Image.open(io.BytesIO(scene)))
    changes = []
    for strength in (0.2, 1.0):
        own = {"strength": strength, "seed": 7}
        answer = client.images.edit(model="demo", image=scene, prompt=PROMPT, extra_body=own)
        changes.append(np.abs(before - pixels(first(answer))).mean())
    assert changes[0] < changes[1]


@pytest.mark.filterwarnings("ignore:deprecated")
def test_variations_differ_from_each_other(client: openai.OpenAI, scene: bytes) -> None:
    answer = client.images.create_variation(model="demo", image=scene, n=2, size="128x128")  # type: ignore[arg-type]
    one, other = [pixels(opened(item.b64_json)) for item in answer.data or []]
    assert np.abs(one - other).mean() > 1
    assert all(item.revised_prompt for item in answer.data or [])


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"size": "65x64"}, "size"),
        ({"size": "1024x1024"}, "size"),
        ({"n": 9}, "n"),
        ({"output_format": "png", "output_compression": 50}, "output_compression"),
        ({"extra_body": {"scheduler": "best"}}, "scheduler"),
    ],
)
def test_what_the_family_cannot_paint_is_a_bad_request(client: openai.OpenAI, wishes: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="demo", prompt=PROMPT, **wishes)
    assert caught.value.param == param


def test_a_short_walk_from_a_pictures_noise_changes_less_than_a_long_one(triptych: Addresses) -> None:
    """The native POST /variations, as reference 002 has it at /api/variations."""
    with httpx.Client(base_url=f"http://{triptych.rest}/api", timeout=120) as session:
        plain = {"analyze": False}
        parent = session.post("/generate", json={"prompt": PROMPT, "seed": 7, **plain}).raise_for_status().json()
        before = pixels(opened(parent["generated_image"]))
        changes = []
        for share in (0.05, 1.0):
            wishes = {"image_id": parent["image_id"], "variation_strength": share, "seed": 8, **plain}
            child = session.post("/variations", json=wishes).raise_for_status().json()
            changes.append(np.abs(before - pixels(opened(child["generated_image"]))).mean())
        assert 0 < changes[0] < changes[1]
        assert child["parent_id"] == parent["image_id"]


def test_a_walk_all_the_way_is_the_other_seeds_picture(triptych: Addresses) -> None:
    """With a scheduler whose only noise is the first, which is what is walked in."""
    with httpx.Client(base_url=f"http://{triptych.rest}", timeout=120) as session:
        plain = {"prompt": PROMPT, "analyze": False, "scheduler": "ddim"}
        other, _ = [session.post("/generate", json={"seed": seed, **plain}).json() for seed in (8, 7)]
        walked = session.post("/variations", json={"variation_strength": 1, "seed": 8, "analyze": False}).json()
    difference = pixels(opened(walked["generated_image"])) - pixels(opened(other["generated_image"]))
    assert np.abs(difference).max() <= 1
