"""Have a family paint, and look at what it painted. Keeps nothing: that is the gallery's, or a job's. Knows no HTTP."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from modelcore.errors import ModelUnavailable, NotFound, TriptychError
from orchestrator.analyze.service import Analysis, Analyze
from orchestrator.errors import problem_of, shortened
from orchestrator.gallery.embedding import embedded
from orchestrator.gallery.pictures import NewPicture
from orchestrator.gallery.similar import Embedder
from orchestrator.generate.order import Order
from orchestrator.pictures.picture import accept_picture
from orchestrator.tensors import Arrays
from orchestrator.triton import Triton

NOTHING_SEEN = Analysis([], ())
# The pipeline's names for pictures, and the names they have in a request.
FIELD_OF_INPUT = {"init_image": "image"}


@dataclass(frozen=True)
class Step:
    """One picture of the request has taken a step."""

    index: int
    step: int
    steps: int
    eta_s: float
    preview: bytes | None


@dataclass(frozen=True)
class Painted:
    image: bytes
    seed: int
    info: Mapping[str, Any]


@dataclass(frozen=True)
class Look:
    analysis: Analysis
    warnings: tuple[str, ...] = ()


class Painter:
    def __init__(self, triton: Triton, analyze: Analyze, embedder: Embedder, family: str, deadline_s: float) -> None:
        self._triton = triton
        self._analyze = analyze
        self._embedder = embedder
        self._family = family
        self._deadline_s = deadline_s

    def check(self, model: str | None, labels: str | list[str] | None = None) -> None:
        """What is known to be wrong before any work."""
        if model not in (None, self._family):
            raise NotFound(f"there is no model {shortened(str(model))!r}: {self._family} is served", field="model")
        self._analyze.check_labels(labels)

    async def paint(self, order: Order) -> AsyncGenerator[Step | list[Painted], None]:
        """Every step as it is taken, then the pictures. Closing it early stops the painting within a step."""
        painted: dict[int, Painted] = {}
        async with self._triton.stream(self._family, order.inputs(), deadline_s=self._deadline_s) as answers:
            async for event in _translated(answers):
                if "image" in event:
                    painted[int(event["index"][0])] = _painted(event)
                else:
                    yield _step(event)
        if not painted:
            raise ModelUnavailable(self._family, f"the model {self._family} has ended without a picture")
        yield [painted[index] for index in sorted(painted)]

    async def new_pictures(self, order: Order, painted: Sequence[Painted]) -> list[NewPicture]:
        """For the gallery, with all that is to be known of them there. Whoever keeps pictures gets them from here."""
        return await self.embedded(self.described(order, painted))

    async def embedded(self, pictures: Sequence[NewPicture]) -> list[NewPicture]:
        return await embedded(self._embedder, pictures)

    def described(self, order: Order, painted: Sequence[Painted]) -> list[NewPicture]:
        """Without their embeddings."""
        return [
            NewPicture(
                data=picture.image,
                prompt=order.prompt,
                negative_prompt=order.negative_prompt,
                family=self._family,
                model=self._family,
                seed=picture.seed,
                params=picture.info,
                parent=order.parent,
            )
            for picture in painted
        ]

    async def look(self, order: Order, painted: Sequence[Painted]) -> Look:
        """At the first of them. Pictures that have been painted are not lost for want of an analysis."""
        if not order.analyze:
            return Look(NOTHING_SEEN)
        first = accept_picture(painted[0].image)
        try:
            analysis = await self._analyze.analyze(first, labels=order.labels, segment=order.segment)
            return Look(analysis, analysis.warnings)
        except TriptychError as error:
            detail = problem_of(error).detail
            return Look(NOTHING_SEEN, (f"the picture could not be analyzed, POST /analyze may tell later: {detail}",))


def warnings_of(painted: Sequence[Painted]) -> list[str]:
    """Each once, however many pictures it is about."""
    return list(dict.fromkeys(warning for picture in painted for warning in picture.info.get("warnings", ())))


@contextmanager
def named_as_asked() -> Iterator[None]:
    """A refusal names the pipeline's input; the caller knows it by the request's field."""
    try:
        yield
    except TriptychError as error:
        if error.field in FIELD_OF_INPUT:
            field = FIELD_OF_INPUT[error.field]
            raise type(error)(error.detail.replace(error.field, field), field=field) from error
        raise


async def _translated(answers: AsyncIterator[Arrays]) -> AsyncIterator[Arrays]:
    with named_as_asked():
        async for event in answers:
            yield event


def _step(event: Arrays) -> Step:
    preview = event["preview"].item() if "preview" in event else None
    return Step(
        int(event["index"][0]), int(event["step"][0]), int(event["steps"][0]), float(event["eta_s"][0]), preview
    )


def _painted(event: Arrays) -> Painted:
    return Painted(event["image"].item(), int(event["seed"][0]), json.loads(event["info"].item()))
