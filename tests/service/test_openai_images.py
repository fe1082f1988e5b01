"""/v1/images with the real `openai` SDK: what is asked of Triton, what the SDK makes of our answers and errors."""

import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
import httpx2
import numpy as np
import openai
import pytest
from openai.types import ImagesResponse
from PIL import Image

from modelcore.images import encode_png
from orchestrator.storage.shelf import Shelf
from tests.service.conftest import Serve
from tests.service.fake_triton import SEED, FakeTriton, painted, refuses
from tests.service.keys import new_key
from tests.service.test_generate import asked

SQUARE = encode_png(Image.new("RGB", (64, 64), "blue"))


@asynccontextmanager
async def sdk_of(client: httpx.AsyncClient, api_key: str = "none") -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK in front of the same app: it has an HTTP client of its own kind."""
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(transport.app))  # type: ignore[arg-type]
    base_url = "http://127.0.0.1/v1"
    async with openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, http_client=http) as sdk:
        yield sdk


@pytest.fixture
async def sdk(client: httpx.AsyncClient) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk_of(client) as sdk:
        yield sdk


def pictures(answer: ImagesResponse) -> list[bytes]:
    return [base64.b64decode(item.b64_json or "") for item in answer.data or []]


def size(encoded: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(encoded)).size


def with_hole(width: int = 64, height: int = 64) -> bytes:
    """Red; its left half is transparent."""
    pixels = np.full((height, width, 4), (255, 0, 0, 255), np.uint8)
    pixels[:, : width // 2, 3] = 0
    return encode_png(Image.fromarray(pixels))


def mask_of(sent: dict[str, Any]) -> list[list[int]]:
    """Of the mask that the pipeline got, the first row's colours, from left to right, each told once."""
    row = np.asarray(Image.open(io.BytesIO(sent["mask_image"].item())))[0]
    return [int(value) for place, value in enumerate(row) if place == 0 or row[place - 1] != value]


async def not_to_be_called(*_: object) -> bytes:
    raise AssertionError("nobody needs to read a picture here")


async def test_a_prompt_becomes_a_picture(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.images.generate(model="demo", prompt="a red circle")
    assert pictures(answer) == [painted(SEED, 64, 64)]
    assert (answer.size, answer.quality, answer.output_format, answer.background) == (
        "64x64",
        "medium",
        "png",
        "opaque",
    )


async def test_usage_counts_words_and_cells(sdk: openai.AsyncOpenAI) -> None:
    usage = (await sdk.images.generate(model="demo", prompt="a red circle", n=2, size="128x64")).usage
    assert usage is not None
    cells = 2 * 128 * 64 // 64
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (3, cells, 3 + cells)
    assert (usage.input_tokens_details.text_tokens, usage.input_tokens_details.image_tokens) == (3, 0)


async def test_without_clip_there_is_no_usage_but_a_picture(sdk: openai.AsyncOpenAI, fake: FakeTriton) -> None:
    fake.scripts["clip_tokenize"] = refuses(grpc.StatusCode.UNAVAILABLE, "no")
    answer = await sdk.images.generate(model="demo", prompt="a red circle")
    assert (len(pictures(answer)), answer.usage) == (1, None)


async def test_openais_words_reach_the_pipeline_in_its_own(sdk: openai.AsyncOpenAI, fake: FakeTriton) -> None:
    own = {"negative_prompt": "blue", "seed": 7, "guidance_scale": 3, "scheduler": "euler"}
    await sdk.images.generate(
        model="demo", prompt="a", n=2, size="128x64", quality="high", output_format="webp", output_compression=30,
        user="ada", moderation="low", background="auto", extra_body=own | {"unheard_of": {"of": 1}},
    )  # fmt: skip
    sent = {name: array.item() for name, array in asked(fake).items()}
    assert sent == own | {
        "prompt": b"a",
        "negative_prompt": b"blue",
        "scheduler": b"euler",
        "num_images": 2,
        "width": 128,
        "height": 64,
        "steps": 40,
        "output_format": b"webp",
        "output_quality": 30,
    }


@pytest.mark.parametrize(("quality", "steps"), [("low", 10), ("medium", 20), ("standard", 20), ("hd", 40)])
async def test_quality_is_a_share_of_the_familys_steps(
    sdk: openai.AsyncOpenAI, fake: FakeTriton, quality: Any, steps: int
) -> None:
    await sdk.images.generate(model="demo", prompt="a", quality=quality)
    assert asked(fake)["steps"].item() == steps


async def test_steps_count_more_than_quality(sdk: openai.AsyncOpenAI, fake: FakeTriton) -> None:
    await sdk.images.generate(model="demo", prompt="a", quality="hd", extra_body={"steps": 3})
    assert asked(fake)["steps"].item() == 3


async def test_every_picture_comes_with_its_seed(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.images.generate(model="demo", prompt="a", n=3, extra_body={"seed": 7})
    assert pictures(answer) == [painted(seed, 64, 64) for seed in (7, 8, 9)]
    assert [item.to_dict()["seed"] for item in answer.data or []] == [7, 8, 9]


@pytest.mark.parametrize(
    "headers", [{}, {"Idempotency-Key": "a key of mine, long enough"}], ids=["without a key", "with a key"]
)
async def test_what_was_just_painted_is_not_read_from_the_store_again(
    sdk: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """With a key the answer is made within the transaction, which on SQLite is everybody's."""
    monkeypatch.setattr(Shelf, "read", not_to_be_called)
    answer = await sdk.images.generate(model="demo", prompt="a", n=3, extra_headers=headers, extra_body={"seed": 7})
    assert pictures(answer) == [painted(seed, 64, 64) for seed in (7, 8, 9)]


async def test_null_is_the_same_as_nothing(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.images.generate(model=None, prompt="a", n=None, size=None, quality=None, response_format=None)
    assert len(pictures(answer)) == 1


async def test_a_url_opens_without_key_and_cookie(serve: Serve) -> None:
    async with serve(require_keys=True) as stranger:
        key = await new_key(stranger)
        async with sdk_of(stranger, key.token) as sdk:
            answer = await sdk.images.generate(model="demo", prompt="a", response_format="url")
        (item,) = answer.data or []
        assert (item.url or "").startswith("http://127.0.0.1/v1/images/files/")
        assert key.token not in (item.url or "")
        assert (await stranger.get(item.url or "")).content == painted(SEED, 64, 64)
        assert (await stranger.get(f"/images/{item.to_dict()['image_id']}/file")).status_code == 401


async def test_a_link_ends_with_its_picture(client: httpx.AsyncClient) -> None:
    made = (await client.post("/v1/images/generations", json={"prompt": "a", "response_format": "url"})).json()
    (item,) = made["data"]
    await client.delete(f"/images/{item['image_id']}")
    assert (await client.get(item["url"])).status_code == 404


async def test_a_stream_has_evenly_spread_previews_and_then_the_picture(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.images.generate(
        model="demo", prompt="a", stream=True, partial_images=3, size="64x64", extra_body={"steps": 8}
    )
    *previews, last = [event async for event in stream]
    assert [event.type for event in previews] == ["image_generation.partial_image"] * 3
    assert [event.partial_image_index for event in previews if event.type != last.type] == [0, 1, 2]
    colours = [Image.open(io.BytesIO(base64.b64decode(event.b64_json))).getpixel((0, 0)) for event in previews]
    assert colours == [(step, 90, 160) for step in (2, 4, 6)]
    assert last.type == "image_generation.completed"
    assert base64.b64decode(last.b64_json) == painted(SEED, 64, 64)
    assert (last.size, last.usage.output_tokens) == ("64x64", 64)


async def test_a_preview_says_its_own_size_and_format(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.images.generate(model="demo", prompt="a", stream=True, partial_images=1, output_format="jpeg")
    first = await anext(aiter(stream))
    preview = Image.open(io.BytesIO(base64.b64decode(first.b64_json)))
    assert (first.size, first.output_format) == (f"{preview.width}x{preview.height}", "jpeg")
    assert preview.format == "JPEG"


async def test_a_stream_without_previews_is_the_picture_alone(sdk: openai.AsyncOpenAI, fake: FakeTriton) -> None:
    stream = await sdk.images.generate(model="demo", prompt="a", stream=True)
    assert [event.type async for event in stream] == ["image_generation.completed"]
    assert "preview_every" not in asked(fake)


async def test_a_stream_that_breaks_raises(sdk: openai.AsyncOpenAI, fake: FakeTriton) -> None:
    fake.breaks = True
    stream = await sdk.images.generate(model="demo", prompt="a", stream=True)
    with pytest.raises(openai.APIError) as caught:
        [event async for event in stream]
    assert not isinstance(caught.value, openai.APIConnectionError)


async def test_an_edit_paints_where_the_mask_is_transparent(sdk: openai.AsyncOpenAI, fake: FakeTriton) -> None:
    await sdk.images.edit(model="demo", image=SQUARE, mask=with_hole(), prompt="a", n=2)
    sent = asked(fake)
    assert mask_of(sent) == [255, 0]
    assert np.array_equal(Image.open(io.BytesIO(sent["init_image"].item())), Image.open(io.BytesIO(SQUARE)))
    assert (sent["keep_unmasked"].item(), sent["num_images"].item()) == (True, 2)


async def test_without_a_mask_what_is_transparent_is_edited(sdk: openai.AsyncOpenAI, fake: FakeTriton) -> None:
    await sdk.images.edit(model="demo", image=with_hole(), prompt="a")
    assert mask_of(asked(fake)) == [255, 0]


async def test_an_opaque_picture_without_a_mask_is_painted_over_as_a_whole(
    sdk: openai.AsyncOpenAI, fake: FakeTriton
) -> None:
    await sdk.images.edit(model="demo", image=SQUARE, prompt="a", extra_body={"strength": 0.5})
    sent = asked(fake)
    assert {"mask_image", "keep_unmasked"} & set(sent) == set()
    assert sent["strength"].item() == pytest.approx(0.5)


async def test_an_edit_of_another_shape_is_cut_and_not_stretched(sdk: openai.AsyncOpenAI, fake: FakeTriton) -> None:
    bands = np.zeros((100, 200, 3), np.uint8)
    bands[:, 45:155] = 255  # the middle square, and as much beside it as the resampling looks at
    await sdk.images.edit(model="demo", image=encode_png(Image.fromarray(bands)), prompt="a", size="64x64")
    sent = Image.open(io.BytesIO(asked(fake)["init_image"].item()))
    assert (sent.size, sent.getextrema()) == ((64, 64), ((255, 255),) * 3)


async def test_one_picture_may_come_as_a_list(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.images.edit(model="demo", image=[SQUARE], prompt="a")
    assert len(pictures(answer)) == 1


async def test_an_edit_streams(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.images.edit(
        model="demo", image=SQUARE, mask=with_hole(), prompt="a", stream=True, partial_images=1
    )
    assert [event.type async for event in stream] == ["image_edit.partial_image", "image_edit.completed"]


async def test_the_input_picture_is_part_of_the_usage(sdk: openai.AsyncOpenAI) -> None:
    usage = (await sdk.images.edit(model="demo", image=SQUARE, prompt="a red circle")).usage
    assert usage is not None
    assert (usage.input_tokens_details.image_tokens, usage.input_tokens) == (64, 67)


@pytest.mark.filterwarnings("ignore:deprecated")
async def test_a_variation_says_by_which_words_it_was_painted(sdk: openai.AsyncOpenAI, fake: FakeTriton) -> None:
    answer = await sdk.images.create_variation(model="demo", image=SQUARE, n=2)
    sent = asked(fake)
    words = sent["prompt"].item().decode()
    assert [item.revised_prompt for item in answer.data or []] == [words] * 2
    assert len(words.split()) == 2  # one of the demo family's labels: a colour and a shape
    assert sent["strength"].item() == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "a" * 2001}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"n": 11}, "n"),
        ({"size": "1024x1024"}, "size"),
        ({"size": "large"}, "size"),
        ({"quality": "best"}, "quality"),
        ({"output_format": "gif"}, "output_format"),
        ({"background": "transparent"}, "background"),
        ({"response_format": "svg"}, "response_format"),
        ({"stream": True, "n": 2}, "n"),
        ({"stream": True, "response_format": "url"}, "response_format"),
        ({"stream": True, "partial_images": 4}, "partial_images"),
        ({"extra_body": {"steps": 101}}, "steps"),
        ({"extra_body": {"scheduler": 7}}, "scheduler"),
    ],
)
async def test_what_we_cannot_make_is_a_bad_request(sdk: openai.AsyncOpenAI, wishes: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.images.generate(**{"model": "demo", "prompt": "a"} | wishes)
    assert (caught.value.param, caught.value.type) == (param, "invalid_request_error")


async def test_a_refused_size_says_what_would_do(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="size: width must be between 64 and 256: 1024"):
        await sdk.images.generate(model="demo", prompt="a", size="1024x1024")


@pytest.mark.parametrize(
    ("files", "param"),
    [
        ({"mask": encode_png(Image.new("RGB", (64, 64)))}, "mask"),
        ({"mask": with_hole(32, 32)}, "mask"),
        ({"mask": b"GIF89a"}, "mask"),
        ({"image": b"GIF89a" + b"\0" * 20}, "image"),
        ({"image": SQUARE[:-20]}, "image"),
        ({"image": [SQUARE, SQUARE]}, "image"),
        ({"image": b""}, "image"),
    ],
)
async def test_pictures_that_cannot_be_edited_are_a_bad_request(
    sdk: openai.AsyncOpenAI, files: Any, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.images.edit(**{"model": "demo", "image": SQUARE, "prompt": "a"} | files)
    assert caught.value.param == param


async def test_an_unknown_model_is_not_found_and_the_served_ones_are_told(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="demo is served") as caught:
        await sdk.images.generate(model="dall-e-2", prompt="a")
    assert caught.value.code == "model_not_found"


async def test_a_wrong_key_raises_the_sdks_own_error(serve: Serve) -> None:
    async with serve(require_keys=True) as client, sdk_of(client, "tt_wrong") as sdk:
        with pytest.raises(openai.AuthenticationError):
            await sdk.images.generate(model="demo", prompt="a")


async def test_a_key_without_the_scope_may_look_but_not_paint(serve: Serve) -> None:
    async with serve(require_keys=True) as client:
        key = await new_key(client, scopes=["read"])
        async with sdk_of(client, key.token) as sdk:
            assert [model.id async for model in sdk.models.list()] == ["demo", "clip"]
            with pytest.raises(openai.PermissionDeniedError):
                await sdk.images.generate(model="demo", prompt="a")


async def test_models_are_listed_and_retrieved(sdk: openai.AsyncOpenAI) -> None:
    (demo, _) = (await sdk.models.list()).data
    assert (await sdk.models.retrieve("demo")) == demo
    with pytest.raises(openai.NotFoundError, match="demo, clip"):
        await sdk.models.retrieve("gpt-image-2")


async def test_the_same_request_with_the_same_key_paints_once(client: httpx.AsyncClient, fake: FakeTriton) -> None:
    wishes = {"prompt": "a", "n": 2}
    await client.get("/images")
    client.cookies.set("triptych_session", "0" * 32)
    first, again = [
        await client.post("/v1/images/generations", json=wishes, headers={"Idempotency-Key": "one"}) for _ in range(2)
    ]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert len([name for name, _ in fake.requests if name == "demo"]) == 1
