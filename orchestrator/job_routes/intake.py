"""From a request that has been read to a job that can be submitted. Knows no HTTP.

Refuses whatever the answered request would refuse, but for what only the work itself shows. Pictures become the job's
inputs, as bytes: what is deleted from the gallery meanwhile does not stop it.
"""

from orchestrator.analyze.schemas import AnalyzeRequest
from orchestrator.analyze.service import Analyze
from orchestrator.generate.estimate import Estimator
from orchestrator.generate.painter import Painter
from orchestrator.generate.schemas import GenerateRequest
from orchestrator.jobs.model import Submission
from orchestrator.keys.limits import cost_of
from orchestrator.pictures.callers import CallersPictures
from orchestrator.pictures.parcels import parcel_of
from orchestrator.pictures.schemas import AboutPicture
from orchestrator.segment.schemas import SegmentRequest

AnyRequest = GenerateRequest | SegmentRequest | AnalyzeRequest


class Intake:
    def __init__(self, painter: Painter, estimator: Estimator, analyze: Analyze, pictures: CallersPictures) -> None:
        self._painter = painter
        self._estimator = estimator
        self._analyze = analyze
        self._pictures = pictures

    async def submission(self, owner: str, wishes: AnyRequest) -> Submission:
        """Of whatever kind."""
        match wishes:
            case GenerateRequest():
                return await self.generate(owner, wishes)
            case SegmentRequest():
                return await self.segment(owner, wishes)
            case AnalyzeRequest():
                return await self.analyze(owner, wishes)

    async def generate(self, owner: str, wishes: GenerateRequest) -> Submission:
        self._painter.check(wishes.model, wishes.labels)
        pictures = await self._pictures.start(owner, wishes.image_id, wishes.pictures())
        estimate = await self._estimator.estimate(wishes.order_with(pictures, is_streamed=True))
        return Submission(
            owner=owner,
            kind="generate",
            request=wishes.without_pictures(),
            inputs={name: parcel_of(picture) for name, picture in pictures.items()},
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

    async def _about_picture(self, owner: str, kind: str, wishes: AboutPicture, sent: bytes | None) -> Submission:
        """Your last picture is the one that is so now, not when the job's turn comes."""
        picture, image_id = await self._pictures.chosen(owner, wishes.image_id, sent)
        request = wishes.model_dump(exclude_unset=True, exclude={"image_id"})
        return Submission(
            owner=owner,
            kind=kind,
            request=request if image_id is None else request | {"image_id": image_id},
            inputs={"image": parcel_of(picture.encoded)},
            steps=1,
            cost=cost_of(picture.width_px, picture.height_px, steps=1),
        )
