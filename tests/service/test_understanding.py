"""Analyze, probe, segment and visualize on one picture: what they answer, and what they ask Triton for it."""

import asyncio
import io
import threading
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import grpc
import numpy as np
import pytest
from PIL import Image

from modelcore.errors import DeadlineExceeded, InvalidInput, NotFound, Unavailable
from modelcore.family import Concepts
from modelcore.images import encode_png
from modelcore.text.label_sets import label_set
from modelcore.vision.scoring import confidences, one_per_label
from orchestrator.analyze.service import Analyze
from orchestrator.pictures.picture import Picture, accept_picture
from orchestrator.pictures.regions import Question
from orchestrator.pictures.understanding import Understanding, UnderstandingRules
from orchestrator.probe.service import Probe
from orchestrator.segment.service import Segment
from orchestrator.triton import Triton, open_channel
from orchestrator.visualize.drawing import Canvas
from orchestrator.visualize.service import View, Visualize
from tests.service.fake_triton import LOGIT_SCALE, FakeTriton, hangs, refuses, vector_of

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
PICTURE = accept_picture(encode_png(Image.fromarray(PIXELS)))
DEMO = Concepts("demo", 0.75, "dropped")


@dataclass(frozen=True)
class Services:
    analyze: Analyze
    probe: Probe
    segment: Segment
    visualize: Visualize

    async def all_of(self, picture: Picture) -> None:
        await self.analyze.analyze(picture)
        await self.segment.segment(picture)
        await self.visualize.visualize(picture)
        await self.probe.probe(picture, "red")


@pytest.fixture
async def services(fake: FakeTriton) -> AsyncIterator[Services]:
    channel = open_channel(fake.address, 310)
    rules = UnderstandingRules(clip_deadline_s=2.0, segment_deadline_s=2.0)
    about = Understanding(Triton(channel, ()), DEMO, rules)
    yield Services(Analyze(about), Probe(about), Segment(about), Visualize(about))
    await channel.close()


def calls(fake: FakeTriton) -> Counter[str]:
    return Counter(model for model, _ in fake.requests)


def sent(fake: FakeTriton, model: str) -> list[dict[str, object]]:
    return [dict(arrays) for name, arrays in fake.requests if name == model]


async def test_four_services_on_one_picture_segment_it_once(services: Services, fake: FakeTriton) -> None:
    await services.all_of(PICTURE)
    assert calls(fake)["segment"] == 1


async def test_all_regions_travel_in_one_call_beside_the_whole_picture(services: Services, fake: FakeTriton) -> None:
    await services.all_of(PICTURE)
    assert sorted(len(arrays["image"]) for arrays in sent(fake, "clip_image_bytes")) == [1, 2]  # type: ignore[arg-type]


async def test_a_known_label_set_is_never_encoded_again(services: Services, fake: FakeTriton) -> None:
    await services.all_of(PICTURE)
    before = calls(fake)["clip_text_string"]
    await services.all_of(accept_picture(encode_png(Image.new("RGB", (9, 9), "blue"))))
    assert calls(fake)["clip_text_string"] == before


async def test_the_same_again_asks_triton_nothing(services: Services, fake: FakeTriton) -> None:
    await services.all_of(PICTURE)
    before = len(fake.requests)
    await services.all_of(accept_picture(PICTURE.encoded))
    assert len(fake.requests) == before


async def test_many_at_the_same_time_share_what_is_being_made(services: Services, fake: FakeTriton) -> None:
    await asyncio.gather(*(services.all_of(PICTURE) for _ in range(8)))
    assert calls(fake) == {"segment": 1, "clip_image_bytes": 2, "clip_text_string": 2}


async def test_another_question_about_the_picture_is_another_segmentation(services: Services, fake: FakeTriton) -> None:
    await services.segment.segment(PICTURE)
    await services.segment.segment(PICTURE, Question({"points_per_side": np.array([8], np.int32)}))
    assert calls(fake)["segment"] == 2


async def test_concepts_are_the_softmax_of_cosines_at_the_models_own_scale(services: Services) -> None:
    analysis = await services.analyze.analyze(PICTURE, labels="demo-colours", top=8)
    labels = label_set("demo-colours")
    words = np.stack([vector_of(prompt.encode()) for prompt in labels.prompts()])
    whole = vector_of(PICTURE.encoded)[None]
    wanted = confidences(whole, one_per_label(words, len(labels.labels)), LOGIT_SCALE)[0]
    told = {concept.label: concept.confidence for concept in analysis.concepts}
    assert told == pytest.approx(dict(zip(labels.labels, wanted.tolist(), strict=True)), abs=1e-6)
    assert sorted(told.values(), reverse=True) == [concept.confidence for concept in analysis.concepts]


async def test_own_labels_are_asked_for_in_the_familys_way(services: Services, fake: FakeTriton) -> None:
    analysis = await services.analyze.analyze(PICTURE, labels=["owl", "cat"], segment=False)
    assert {concept.label for concept in analysis.concepts} == {"owl", "cat"}
    (texts,) = sent(fake, "clip_text_string")
    assert [bytes(item) for item in texts["text"][:, 0]] == [b"an owl", b"a cat"]  # type: ignore[index]


async def test_a_wrong_label_set_is_refused_before_any_work(services: Services, fake: FakeTriton) -> None:
    with pytest.raises(NotFound, match="imagenet"):
        await services.segment.segment(PICTURE, labels="imagenet")
    assert fake.requests == []


async def test_a_probe_tells_the_cosines_of_the_whole_and_of_each_region(services: Services) -> None:
    probed = await services.probe.probe(PICTURE, "metal")
    assert probed.cosine == pytest.approx(float(vector_of(PICTURE.encoded) @ vector_of(b"metal")), abs=1e-6)
    assert [region.region_id for region in probed.regions] == [0, 1]
    assert all(-1 <= region.cosine <= 1 for region in probed.regions)
    assert {region.class_label for region in probed.regions} <= set(label_set("demo").labels)


async def test_clicks_and_boxes_go_to_triton_as_they_are(services: Services, fake: FakeTriton) -> None:
    await services.segment.segment(PICTURE, Question({"boxes": np.array([[1, 2, 30, 20]], np.float32)}))
    (arrays,) = sent(fake, "segment")
    np.testing.assert_array_equal(arrays["boxes"], [[1, 2, 30, 20]])  # type: ignore[arg-type]


async def test_a_refusal_of_segment_keeps_its_field(services: Services, fake: FakeTriton) -> None:
    message = "points must lie in the picture [invalid_input points]"
    fake.scripts["segment"] = refuses(grpc.StatusCode.INVALID_ARGUMENT, message)
    with pytest.raises(InvalidInput) as caught:
        await services.segment.segment(PICTURE)
    assert caught.value.field == "points"


async def test_a_failed_segmentation_is_tried_again(services: Services, fake: FakeTriton) -> None:
    fake.scripts["segment"] = refuses(grpc.StatusCode.UNAVAILABLE, "in vain")
    with pytest.raises(Unavailable):
        await services.segment.segment(PICTURE)
    del fake.scripts["segment"]
    assert len((await services.segment.segment(PICTURE)).regions) == 2


async def test_a_segmentation_that_hangs_ends_at_its_deadline(services: Services, fake: FakeTriton) -> None:
    fake.scripts["segment"] = hangs
    with pytest.raises(DeadlineExceeded):
        await services.analyze.analyze(PICTURE)


class Held:
    """A call to Triton that is answered when it is let go; `ended` where its caller has given it up."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self, _context: grpc.aio.ServicerContext) -> None:
        self.begun.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.ended.set()
            raise


async def fail_after(begun: asyncio.Event, context: grpc.aio.ServicerContext) -> None:
    await begun.wait()
    await context.abort(grpc.StatusCode.UNAVAILABLE, "in vain")


async def test_an_analysis_that_fails_leaves_no_segmentation_at_work(services: Services, fake: FakeTriton) -> None:
    segmenting = Held()
    fake.scripts |= {"segment": segmenting, "clip_image_bytes": partial(fail_after, segmenting.begun)}
    with pytest.raises(Unavailable):
        await services.analyze.analyze(PICTURE)
    await asyncio.wait_for(segmenting.ended.wait(), 1.5)  # which is sooner than its deadline


async def test_a_segmentation_that_another_waits_for_outlives_a_failed_analysis(
    services: Services, fake: FakeTriton
) -> None:
    segmenting = Held()
    fake.scripts |= {"segment": segmenting, "clip_image_bytes": partial(fail_after, segmenting.begun)}
    other = asyncio.create_task(services.segment.segment(PICTURE))
    await segmenting.begun.wait()
    with pytest.raises(Unavailable):
        await services.analyze.analyze(PICTURE)
    del fake.scripts["clip_image_bytes"]
    segmenting.let_go.set()
    assert len((await other).regions) == 2
    assert calls(fake)["segment"] == 1


async def test_labels_that_fail_leave_no_picture_at_work(services: Services, fake: FakeTriton) -> None:
    looking = Held()
    fake.scripts |= {"clip_image_bytes": looking, "clip_text_string": partial(fail_after, looking.begun)}
    with pytest.raises(Unavailable):
        await services.analyze.analyze(PICTURE, segment=False)
    await asyncio.wait_for(looking.ended.wait(), 1.5)


async def test_a_drawing_that_takes_too_long_ends_at_its_deadline(
    services: Services, fake: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(Canvas, "spotlight", lambda *_: let_go.wait(10))
    visualize = Visualize(services.visualize._understanding, deadline_s=0.2)
    try:
        with pytest.raises(DeadlineExceeded):
            await visualize.visualize(PICTURE)
    finally:
        let_go.set()


async def test_an_overlay_and_a_spotlight_for_each_region_are_drawn_once(services: Services, fake: FakeTriton) -> None:
    first = await services.visualize.visualize(PICTURE, View(cutouts=True))
    again = await services.visualize.visualize(PICTURE, View(cutouts=True), labels="demo-shapes")
    assert again.overlay is first.overlay
    assert [spotlight.region_id for spotlight in first.spotlights] == [0, 1]
    assert {spotlight.top_class for spotlight in again.spotlights} <= set(label_set("demo-shapes").labels)


async def test_a_spotlight_shows_its_half_and_dims_the_other(services: Services) -> None:
    drawn = await services.visualize.visualize(PICTURE)
    pixels = np.asarray(Image.open(io.BytesIO(drawn.spotlights[0].image)))
    assert (pixels[:, :20] == PIXELS[:, :20]).all()
    assert (pixels[:, 20:] == (PIXELS[:, 20:] * 0.3).round()).all()


async def test_a_cutout_is_the_region_alone(services: Services) -> None:
    drawn = await services.visualize.visualize(PICTURE, View(cutouts=True))
    assert drawn.spotlights[1].cutout is not None
    cut = np.asarray(Image.open(io.BytesIO(drawn.spotlights[1].cutout)))
    assert (cut[..., :3] == PIXELS[:, 20:]).all()
    assert (cut[..., 3] == 255).all()


async def test_drawings_are_shrunk_to_the_size_asked_for_and_never_enlarged(services: Services) -> None:
    sizes = []
    for longest_px in (20, 1024):
        drawn = await services.visualize.visualize(PICTURE, View(longest_px=longest_px, spotlights=1))
        sizes += [Image.open(io.BytesIO(data)).size for data in (drawn.overlay, drawn.spotlights[0].image)]
    assert sizes == [(20, 15), (20, 15), (40, 30), (40, 30)]


async def test_no_more_spotlights_are_drawn_than_wanted(services: Services) -> None:
    drawn = await services.visualize.visualize(PICTURE, View(spotlights=1))
    assert (drawn.total_regions, len(drawn.spotlights)) == (2, 1)


async def test_drawings_come_as_jpeg_where_asked_for(services: Services) -> None:
    drawn = await services.visualize.visualize(PICTURE, View(format="jpeg", cutouts=True))
    formats = [Image.open(io.BytesIO(data)).format for data in (drawn.overlay, drawn.spotlights[0].image)]
    cutout = drawn.spotlights[0].cutout
    assert formats == ["JPEG", "JPEG"]
    assert cutout is not None
    assert Image.open(io.BytesIO(cutout)).mode == "RGBA"
