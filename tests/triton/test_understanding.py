"""Concepts and probes are right on held-out scenes, by the drawn truth, through the real Triton; and asked for once."""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable

import httpx
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from modelcore.errors import TriptychError
from modelcore.family import read_family
from modelcore.images import encode_png
from modelcore.vision.masks import Region, Rle
from orchestrator.pictures.picture import Picture, accept_picture
from orchestrator.pictures.regions import FoundRegions
from orchestrator.pictures.understanding import Understanding, UnderstandingRules
from orchestrator.triton import CallObserver, Triton, open_channel
from tests.triptych_process import Addresses
from training.drawing import Masks
from training.scene import Pair
from training.world import Sample, World
from triptych.project import FAMILIES

pytestmark = pytest.mark.triton

SCENES = 200
SEED = 11
SINGLE = World("held_out", SEED, counts=(1,))
SEVERAL = World("held_out", SEED, counts=(2, 3))


@contextlib.asynccontextmanager
async def understanding(triptych: Addresses, *observers: CallObserver) -> AsyncIterator[Understanding]:
    channel = open_channel(triptych.triton_grpc, 310)
    yield Understanding(Triton(channel, (), observers), read_family(FAMILIES / "demo").concepts, UnderstandingRules())
    await channel.close()


def picture_of(sample: Sample) -> Picture:
    return accept_picture(encode_png(Image.fromarray(sample.drawing.pixels)))


def true_regions(sample: Sample) -> FoundRegions:
    """What `segment` would say if it made no mistake."""
    key = (picture_of(sample).sha256, "truth")
    return FoundRegions(key, tuple(region_of(mask) for mask in sample.drawing.masks))


def region_of(mask: Masks) -> Region:
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    left, top, width, height = (int(side) for side in coco.toBbox(encoded))
    rle = Rle(size=[int(side) for side in encoded["size"]], counts=encoded["counts"].decode())
    return Region(rle, [], (left, top, width, height), int(mask.sum()), 1.0, 1.0, None)


def pair_of(label: str) -> Pair:
    colour, shape = label.split()
    return colour, shape  # type: ignore[return-value]


async def test_the_top_concept_of_one_thing_is_right(triptych: Addresses) -> None:
    async with understanding(triptych) as about:
        labels = about.labels.chosen(None)
        samples = list(SINGLE.samples(SCENES))
        told = await asyncio.gather(*(about.concepts(picture_of(sample), labels, 1) for sample in samples))
    best = [named.concepts[0][0].label for named in told]
    right = [pair_of(label) == sample.scene.things[0].pair for label, sample in zip(best, samples, strict=True)]
    assert np.mean(right) >= 0.95


async def test_the_concept_of_each_of_several_things_is_right(triptych: Addresses) -> None:
    async with understanding(triptych) as about:
        labels = about.labels.chosen(None)
        samples = list(SEVERAL.samples(SCENES))
        told = await asyncio.gather(
            *(about.region_concepts(picture_of(sample), true_regions(sample), labels, 1) for sample in samples)
        )
    right = [
        pair_of(best.label) == thing.pair
        for sample, named in zip(samples, told, strict=True)
        for thing, (best,) in zip(sample.scene.things, named.concepts, strict=True)
    ]
    assert np.mean(right) >= 0.90


async def test_probing_a_colour_ranks_its_region_first(triptych: Addresses) -> None:
    async with understanding(triptych) as about:
        right = [
            int(np.argmax(await about.region_likeness(picture_of(sample), true_regions(sample), word))) == place
            for sample in SEVERAL.samples(SCENES)
            for place, colour in colours_met_once(sample)
            for word in [await about.labels.encoded_word(colour)]
        ]
    assert np.mean(right) >= 0.90


async def test_probing_a_word_that_no_set_knows_ranks_its_region_first_too(triptych: Addresses) -> None:
    """Just as it stands, through CLIP's text side, as any word of a user's would be."""
    async with understanding(triptych) as about:
        right = [
            int(np.argmax(await about.region_likeness(picture_of(sample), true_regions(sample), word))) == place
            for sample in SEVERAL.samples(SCENES)
            for place, colour in colours_met_once(sample)
            for word in [await about.labels.encoded_word(f"{colour} thing")]
        ]
    assert np.mean(right) >= 0.80


def colours_met_once(sample: Sample) -> Iterable[tuple[int, str]]:
    colours = [thing.colour for thing in sample.scene.things]
    return ((place, colour) for place, colour in enumerate(colours) if colours.count(colour) == 1)


class Asked:
    """Counts our own calls by model: Triton's counters have the watchdog's probes among them, at any time."""

    def __init__(self) -> None:
        self.models: Counter[str] = Counter()

    def answered(self, model: str, _seconds: float) -> None:
        self.models[model] += 1

    def failed(self, model: str, _error: TriptychError) -> None:
        self.models[model] += 1


async def test_a_known_label_set_never_touches_the_text_side_again(triptych: Addresses) -> None:
    asked = Asked()
    async with understanding(triptych, asked) as about:
        labels = about.labels.chosen(None)
        first, *others = SINGLE.samples(5, start=SCENES)
        await about.concepts(picture_of(first), labels, 1)
        asked.models.clear()
        for sample in others:
            await about.concepts(picture_of(sample), labels, 1)
            await about.region_concepts(picture_of(sample), true_regions(sample), labels, 1)
    assert set(asked.models) == {"clip_image_bytes"}


async def test_all_regions_of_a_picture_are_one_batch(triptych: Addresses) -> None:
    asked = Asked()
    sample = next(iter(World("held_out", SEED, counts=(3,)).samples(1, start=SCENES)))
    async with understanding(triptych, asked) as about:
        vectors = await about.vectors.regions(picture_of(sample), true_regions(sample))
    assert asked.models == {"clip_image_bytes": 1}
    assert len(vectors) == 3


def inferences(triptych: Addresses, model: str) -> float:
    text = httpx.get(f"http://{triptych.triton_metrics}/metrics").text
    (value,) = re.findall(rf'^nv_inference_count\{{[^}}]*model="{model}"[^}}]*\}} (\S+)$', text, re.MULTILINE)
    return float(value)
