"""The served `segment` on held-out scenes: right, measured against the drawn truth, and each picture encoded once."""

import itertools
import json
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from numpy.typing import NDArray
from PIL import Image
from tritonclient.utils import InferenceServerException

from embedded.server import TritonServer
from modelcore.contract import DataType
from modelcore.images import encode_png
from modelcore.sam2_models import SEGMENT
from modelcore.segment_metrics import HITS, MISSES, NBYTES
from modelcore.vision.masks import Region, from_json
from modelcore.vision.rle import decode
from tests.triton.conftest import READY_TIMEOUT_S, eventually, free_options
from training.bars import BARS
from training.drawing import Masks
from training.parts.sam2 import click
from training.parts.sam2_exam import MATCHED, overlap
from training.world import World

REPOSITORY = Path(__file__).parents[2] / "model_repository"
MODELS = ("sam2_encoder", "sam2_prepare", "sam2_decoder", "segment")
SCENES = 100
_TYPES = {tensor.name: DataType(tensor.data_type).value for tensor in SEGMENT.inputs}

Arrays = dict[str, NDArray[Any]]
Segment = Callable[..., Arrays]

pytestmark = [pytest.mark.triton, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server(embedded_binary: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    if not (REPOSITORY / "segment" / "1" / "segment.json").exists():
        pytest.skip("the demo family's SAM2 is not exported: run `make models`")
    options = free_options(REPOSITORY)
    options = type(options)(**{**vars(options), "models": MODELS})
    made = TritonServer(options, tmp_path_factory.mktemp("log") / "triton.log")
    try:
        made.start()
        made.wait_ready(READY_TIMEOUT_S)
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def segment(server: TritonServer) -> Iterator[Segment]:
    with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.options.grpc_port}") as client:
        yield partial(ask, client, tritonclient.grpc)


def ask(client: Any, module: Any, pixels: NDArray[np.uint8] | bytes, **arrays: NDArray[Any]) -> Arrays:
    answer = client.infer("segment", tensors(module, pixels, **arrays))
    return {tensor.name: answer.as_numpy(tensor.name) for tensor in SEGMENT.outputs}


def tensors(module: Any, pixels: NDArray[np.uint8] | bytes, **arrays: NDArray[Any]) -> list[Any]:
    data = pixels if isinstance(pixels, bytes) else encode_png(Image.fromarray(pixels))
    inputs = []
    for name, array in {"image": np.array([data], dtype=np.object_), **arrays}.items():
        tensor = module.InferInput(name, list(array.shape), _TYPES[name])
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs


def regions(answer: Arrays) -> list[Region]:
    return [from_json(document) for document in json.loads(answer["regions"][0])]


def masks(answer: Arrays) -> list[Masks]:
    return [decode(region.mask) for region in regions(answer)]


def clicked(x: float, y: float) -> Arrays:
    return {"points": np.array([[[x, y]]], np.float32), "point_labels": np.ones((1, 1), np.int64)}


def bar(name: str) -> float:
    value = BARS[name].bar
    assert value is not None
    return value


def metrics(server: TritonServer) -> dict[str, float]:
    """By name, and model where there is one."""
    text = httpx.get(f"http://127.0.0.1:{server.options.metrics_port}/metrics").text
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name.replace(',version="1"', ""): float(value) for name, value in lines}


@pytest.mark.parametrize(("count", "name"), [(1, "one"), (2, "two"), (3, "three")])
def test_one_click_finds_its_thing_as_the_bar_says(segment: Segment, count: int, name: str) -> None:
    found = []
    for number, sample in enumerate(World("held_out", 61, (count,)).samples(SCENES)):
        rng = random.Random(f"click {number}")
        thing = rng.choice(list(sample.drawing.masks))
        x, y = click(thing, rng)
        found.append(overlap(masks(segment(sample.drawing.pixels, **clicked(x, y)))[0], thing))
    assert np.mean(found) >= bar(f"sam2.{name}")


def test_automatic_masks_find_what_is_there_and_little_else(segment: Segment) -> None:
    things = found = kept = false_ones = 0
    for sample in World("held_out", 62).samples(SCENES):
        truth, got = list(sample.drawing.masks), masks(segment(sample.drawing.pixels))
        things, kept = things + len(truth), kept + len(got)
        found += sum(any(overlap(mask, thing) >= MATCHED for mask in got) for thing in truth)
        false_ones += sum(all(overlap(mask, thing) < MATCHED for thing in truth) for mask in got)
    assert found / things >= bar("sam2.found")
    assert false_ones / kept <= bar("sam2.false")


def test_a_second_click_on_a_picture_runs_no_encoder(server: TritonServer, segment: Segment) -> None:
    pixels = World("held_out", 63).sample(0).drawing.pixels
    segment(pixels, **clicked(64, 64))
    before = metrics(server)
    segment(pixels, **clicked(30, 30))
    segment(pixels)
    after = metrics(server)
    for network in ("sam2_encoder", "sam2_prepare"):
        name = f'nv_inference_count{{model="{network}"}}'
        assert after[name] == before[name]
    assert after[HITS] == before[HITS] + 2
    assert after[MISSES] == before[MISSES]
    assert after[NBYTES] == before[NBYTES] > 0


def test_many_first_clicks_at_once_run_one_encoder(server: TritonServer, segment: Segment) -> None:
    pixels = World("held_out", 63).sample(1).drawing.pixels
    name = 'nv_inference_count{model="sam2_encoder"}'
    before = metrics(server)[name]
    threads = [threading.Thread(target=segment, args=(pixels,), kwargs=clicked(9 + n, 40)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics(server)[name] == before + 1


def test_clicks_do_not_wait_for_automatic_masks(server: TritonServer, segment: Segment) -> None:
    """The click is answered while the other request has 256 calls of the network before it."""
    pixels, other = (World("held_out", 63).sample(n).drawing.pixels for n in (2, 3))
    segment(pixels, **clicked(64, 64))
    name = 'nv_inference_count{model="sam2_decoder"}'
    before = metrics(server)[name]
    many = {"points_per_side": np.array([64], np.int32), "points_per_batch": np.array([16], np.int32)}
    automatic = threading.Thread(target=segment, args=(other,), kwargs=many)
    automatic.start()
    segment(pixels, **clicked(30, 30))
    calls = metrics(server)[name] - before
    assert automatic.is_alive()
    assert calls < 256
    automatic.join()


def test_a_client_that_leaves_ends_the_work_on_automatic_masks(server: TritonServer, segment: Segment) -> None:
    """Of 256 calls of the network."""
    sampled = [World("held_out", 63).sample(n).drawing.pixels for n in (5, 6)]
    before = decoder_calls(server)
    many = {"points_per_side": np.array([64], np.int32), "points_per_batch": np.array([16], np.int32)}
    with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.options.grpc_port}") as client:
        given = tensors(tritonclient.grpc, sampled[0], **many)
        call = client.async_infer("segment", given, callback=lambda result, error: None)
        assert eventually(lambda: decoder_calls(server) > before)
        call.cancel()
        clicks = itertools.count(1)
        assert eventually(lambda: clicks_run_alone(server, segment, sampled[1], clicks))
    assert decoder_calls(server) - before - next(clicks) < 128


def clicks_run_alone(server: TritonServer, segment: Segment, pixels: NDArray[np.uint8], clicks: Iterator[int]) -> bool:
    """While anything else were at work, the network would be called for that too."""
    before = decoder_calls(server)
    for _ in range(3):
        segment(pixels, **clicked(9 + next(clicks), 40))
    return decoder_calls(server) - before == 3


def decoder_calls(server: TritonServer) -> float:
    return metrics(server)['nv_inference_count{model="sam2_decoder"}']


def test_http_gives_the_same_answer(server: TritonServer, segment: Segment) -> None:
    pixels = World("held_out", 63).sample(4).drawing.pixels
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.options.http_port}") as client:
        assert regions(ask(client, tritonclient.http, pixels)) == regions(segment(pixels))


def test_a_blank_picture_has_no_regions(segment: Segment) -> None:
    answer = segment(np.full((100, 150, 3), 128, np.uint8))
    assert (answer["regions"].tolist(), answer["boxes"].shape, answer["low_res_masks"].shape) == (
        [b"[]"],
        (0, 4),
        (0, 64, 64),
    )


@pytest.mark.parametrize(
    ("pixels", "arrays", "message"),
    [
        (b"", {}, "the picture is empty"),
        (b"nothing at all", {}, "PNG, JPEG or WebP"),
        (None, {"pred_iou_thresh": np.array([np.nan], np.float32)}, "pred_iou_thresh must be between 0 and 1: nan"),
        (None, {"boxes": np.array([[9, 9, 1, 1]], np.float32)}, "x0 < x1"),
        (None, clicked(500, 1), "must lie in the picture"),
        (None, {"points": np.zeros((1, 9999, 2), np.float32), "point_labels": np.ones((1, 9999), int)}, "1 to 16"),
    ],
)
def test_a_bad_request_is_an_invalid_argument(
    segment: Segment, pixels: bytes | None, arrays: Arrays, message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message) as caught:
        segment(np.zeros((20, 20, 3), np.uint8) if pixels is None else pixels, **arrays)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_the_script_of_the_page_finds_both_things(server: TritonServer) -> None:
    page = (REPOSITORY.parent / "docs" / "segmenting.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    script = script.replace("127.0.0.1:8001", f"127.0.0.1:{server.options.grpc_port}")
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert [line.partition(":")[0] for line in ran.stdout.splitlines()] == ["found", "found", "clicked"]
