"""From a request that has been read to a job that can be submitted. Knows no HTTP.

Refuses whatever the answered request would refuse, but for what only the work itself shows. Pictures become the job's
inputs, as bytes: what is deleted from the gallery meanwhile does not stop it.
"""

from dataclasses import replace
from typing import Any

from orchestrator.analyze.schemas import AnalyzeRequest
from orchestrator.analyze.service import Analyze
from orchestrator.generate.estimate import Estimator
from orchestrator.generate.order import Order
from orchestrator.generate.painter import Painter
from orchestrator.generate.schemas import GenerateRequest
from orchestrator.jobs.model import SETTLED, Submission
from orchestrator.keys.limits import cost_of
from orchestrator.pictures.callers import CallersPictures
from orchestrator.pictures.parcels import parcels_of
from orchestrator.pictures.schemas import AboutPicture
from orchestrator.probe.schemas import ProbeRequest
from orchestrator.probe.service import Probe
from orchestrator.segment.schemas import SegmentRequest
from orchestrator.stories.schemas import STORY_PICTURE, StoryImageRequest
from orchestrator.variations.schemas import VariationsRequest
from orchestrator.variations.service import Variations
from orchestrator.visualize.schemas import VisualizeRequest

Painting = GenerateRequest | VariationsRequest | StoryImageRequest
AnyRequest = Painting | SegmentRequest | AnalyzeRequest | ProbeRequest | VisualizeRequest
_SOME_WORDS = {"prompt": "?"}  # for an estimate, where CLIP will find the words


class Intake:
    def __init__(
        self,
        painter: Painter,
        estimator: Estimator,
        variations: Variations,
        analyze: Analyze,
        probe: Probe,
        pictures: CallersPictures,
    ) -> None:
        self._painter = painter
        self._estimator = estimator
        self._variations = variations
        self._analyze = analyze
        self._probe = probe
        self._pictures = pictures

    async def submission(self, owner: str, wishes: AnyRequest) -> Submission:
        """Of whatever kind."""
        match wishes:
            case GenerateRequest():
                return await self.generate(owner, wishes)
            case VariationsRequest():
                return await self.variations(owner, wishes)
            case StoryImageRequest():
                return await self.story_picture(owner, wishes)
            case SegmentRequest():
                return await self.segment(owner, wishes)
            case AnalyzeRequest():
                return await self.analyze(owner, wishes)
            case ProbeRequest():
                return await self.probe(owner, wishes)
            case VisualizeRequest():
                return await self.visualize(owner, wishes)

    async def generate(self, owner: str, wishes: GenerateRequest) -> Submission:
        self._painter.check(wishes.model, wishes.labels)
        sent = await wishes.pictures()
        pictures = await self._pictures.start(owner, wishes.image_id, sent)
        estimate = await self._estimator.estimate(wishes.order_with(pictures, is_streamed=True))
        return Submission(
            owner=owner,
            kind="generate",
            request=wishes.without_pictures(),
            inputs=await parcels_of(pictures, sent),
            steps=estimate.steps,
            cost=estimate.cost,
        )

    async def story_picture(self, owner: str, wishes: StoryImageRequest) -> Submission:
        """Of a kind of its own: its picture is told to who knows its id, as no other job's is."""
        return replace(await self.generate(owner, wishes.wishes()), kind=STORY_PICTURE)

    async def variations(self, owner: str, wishes: VariationsRequest) -> Submission:
        """Your last picture, and what it was painted with, are those of now, as for a job about a picture."""
        self._painter.check(wishes.model, wishes.labels)
        sent = await wishes.sent()
        planned = await self._variations.planned(owner, wishes.image_id, sent, wishes.wishes(is_streamed=True))
        has_words = bool(planned.wishes.get("prompt"))
        estimate = await self._estimator.estimate(
            planned if has_words else replace(planned, wishes={**planned.wishes, **_SOME_WORDS})
        )
        pictures = {name: value for name, value in planned.wishes.items() if name == "init_image"}
        return Submission(
            owner=owner,
            kind="variations",
            request=_settled(wishes, planned),
            inputs=await parcels_of(pictures, pictures if sent is not None else ()),
            steps=estimate.steps,
            cost=estimate.cost,
        )

    async def segment(self, owner: str, wishes: SegmentRequest, sent: bytes | None = None) -> Submission:
        wishes.question()
        self._analyze.check_labels(wishes.labels)
        return await self._about_picture(owner, "segment", wishes, sent)

    async def analyze(self, owner: str, wishes: AnalyzeRequest, sent: bytes | None = None) -> Submission:
        self._analyze.check_labels(wishes.labels)
        return await self._about_picture(owner, "analyze", wishes, sent)

    async def probe(self, owner: str, wishes: ProbeRequest, sent: bytes | None = None) -> Submission:
        self._probe.check(wishes.prompt, wishes.labels)
        return await self._about_picture(owner, "probe", wishes, sent)

    async def visualize(self, owner: str, wishes: VisualizeRequest, sent: bytes | None = None) -> Submission:
        self._analyze.check_labels(wishes.labels)
        return await self._about_picture(owner, "visualize", wishes, sent)

    async def _about_picture(self, owner: str, kind: str, wishes: AboutPicture, sent: bytes | None) -> Submission:
        """Your last picture is the one that is so now, not when the job's turn comes."""
        picture, image_id = await self._pictures.chosen(owner, wishes.image_id, sent)
        request = wishes.model_dump(exclude_unset=True, exclude={"image_id"})
        return Submission(
            owner=owner,
            kind=kind,
            request=request if image_id is None else request | {"image_id": image_id},
            inputs=await parcels_of({"image": picture.encoded}, () if sent is None else ("image",)),
            steps=1,
            cost=cost_of(picture.width_px, picture.height_px, steps=1),
        )


def _settled(wishes: VariationsRequest, planned: Order) -> dict[str, Any]:
    asked = wishes.model_dump(exclude_unset=True, exclude={"image"})
    if planned.parent is not None:
        asked["image_id"] = planned.parent.image_id
    return asked | {SETTLED: {name: value for name, value in planned.wishes.items() if name != "init_image"}}
