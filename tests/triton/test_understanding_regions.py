"""Analyze, segment, probe and visualize with the real `segment`: right by the drawn truth; the dear parts run once."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from modelcore.errors import InvalidInput
from modelcore.vision.rle import decode
from orchestrator.analyze.service import Analyze
from orchestrator.pictures.picture import Picture, accept_picture
from orchestrator.pictures.regions import FoundRegions
from orchestrator.pictures.understanding import Understanding
from orchestrator.probe.service import Probe
from orchestrator.segment.service import Segment
from orchestrator.visualize.service import View, Visualize
from tests.odd_pictures import encoded, odd_pictures, scene
from tests.triptych_process import Addresses
from tests.triton.test_understanding import Asked, colours_met_once, inferences, pair_of, picture_of, understanding
from training.world import Sample, World

pytestmark = pytest.mark.triton

SCENES = 40  # automatic masks take about a second of a picture
MATCHED_IOU = 0.75
SEVERAL = World("held_out", seed=12, counts=(2, 3))


def regions_of_things(sample: Sample, found: FoundRegions) -> list[list[int]]:
    """For each thing, which regions are its own, the best first: automatic masks may find one thing twice."""
    masks = np.array([decode(region.mask) for region in found.regions]).reshape(-1, *sample.drawing.pixels.shape[:2])
    overlaps = [(masks & truth).sum(axis=(1, 2)) / (masks | truth).sum(axis=(1, 2)) for truth in sample.drawing.masks]
    return [[int(place) for place in np.argsort(-row) if row[place] >= MATCHED_IOU] for row in overlaps]


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(SEVERAL.samples(SCENES))


async def test_each_of_several_things_is_found_and_named(triptych: Addresses, samples: list[Sample]) -> None:
    right: list[bool] = []
    async with understanding(triptych) as about:
        labels = about.labels.chosen(None)
        for sample in samples:
            found = await about.regions.find(picture_of(sample))
            concepts = (await about.region_concepts(picture_of(sample), found, labels, 1)).concepts
            for thing, own in zip(sample.scene.things, regions_of_things(sample, found), strict=True):
                right.append(bool(own) and pair_of(concepts[own[0]][0].label) == thing.pair)
    assert np.mean(right) >= 0.90


async def test_probing_a_colour_ranks_a_region_of_its_thing_first(triptych: Addresses, samples: list[Sample]) -> None:
    right: list[bool] = []
    async with understanding(triptych) as about:
        probe = Probe(about)
        for sample in samples:
            own = regions_of_things(sample, await about.regions.find(picture_of(sample)))
            for place, colour in colours_met_once(sample):
                told = await probe.probe(picture_of(sample), colour)
                best = max(told.regions, key=lambda region: region.cosine, default=None)
                right.append(best is not None and best.region_id in own[place])
    assert np.mean(right) >= 0.90


async def test_four_services_encode_a_picture_once(triptych: Addresses) -> None:
    """Triton's own counters tell the dear part. The cheap models also answer the watchdog's probes, at any time, so
    what was asked of those is counted where it was asked."""
    sample, other = World("held_out", seed=13, counts=(3,)).samples(2)
    asked = Asked()
    async with understanding(triptych, asked) as about:
        await all_four(about, picture_of(other))
        asked.models.clear()
        before = inferences(triptych, "sam2_encoder")
        await all_four(about, picture_of(sample))
        assert inferences(triptych, "sam2_encoder") == before + 1
    assert asked.models == {"segment": 1, "clip_image_bytes": 2}  # the whole picture, and all its regions


async def all_four(about: Understanding, picture: Picture) -> None:
    await Analyze(about).analyze(picture)
    await Segment(about).segment(picture)
    await Visualize(about).visualize(picture)
    await Probe(about).probe(picture, "red")


async def test_a_spotlight_is_bright_where_the_thing_is(triptych: Addresses, samples: list[Sample]) -> None:
    sample = samples[0]
    async with understanding(triptych) as about:
        found = await about.regions.find(picture_of(sample))
        drawn = await Visualize(about).visualize(picture_of(sample), View())
    own, *_ = regions_of_things(sample, found)[0]
    pixels = np.asarray(Image.open(io.BytesIO(drawn.spotlights[own].image)))
    shown = decode(found.regions[own].mask)
    assert (pixels[shown] == sample.drawing.pixels[shown]).all()
    assert (pixels[~shown] == (sample.drawing.pixels[~shown] * 0.3).round()).all()


ODD = {name: data for name, (data, _) in odd_pictures().items()}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
async def test_an_odd_picture_is_answered(triptych: Addresses, data: bytes) -> None:
    async with understanding(triptych) as about:
        picture = accept_picture(data)
        analysis = await Analyze(about).analyze(picture)
        drawn = await Visualize(about).visualize(picture, View(longest_px=256, spotlights=4, format="jpeg"))
    assert 0 < sum(concept.confidence for concept in analysis.concepts) <= 1.0001
    assert drawn.total_regions == len(analysis.regions)


async def test_many_at_once_on_one_picture_are_one_segmentation(triptych: Addresses) -> None:
    (sample,) = World("held_out", seed=14, counts=(2,)).samples(1)
    asked = Asked()
    async with understanding(triptych, asked) as about:
        await asyncio.gather(*(all_four(about, picture_of(sample)) for _ in range(6)))
    assert asked.models["segment"] == 1


async def test_a_picture_that_is_cut_off_is_refused(triptych: Addresses) -> None:
    async with understanding(triptych) as about:
        with pytest.raises(InvalidInput) as caught:
            await Analyze(about).analyze(accept_picture(encoded(scene(200, 200), "JPEG")[:-300]))
    assert caught.value.field == "image"
