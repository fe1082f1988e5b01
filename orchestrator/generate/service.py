"""Have a family paint, keep what it painted, and look at it. Knows no HTTP."""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelcore.errors import ModelUnavailable, NotFound, TriptychError
from orchestrator.analyze.service import Analysis, Analyze
from orchestrator.errors import shortened
from orchestrator.gallery.pictures import Image, NewPicture
from orchestrator.gallery.service import Gallery
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
class Generated:
    """What was kept, in the order of the request's pictures; the first one was looked at."""

    images: Sequence[Image]
    first: bytes
    analysis: Analysis
    warnings: Sequence[str]
    timings_ms: Mapping[str, float]


class Generate:
    def __init__(self, triton: Triton, gallery: Gallery, analyze: Analyze, family: str, deadline_s: float) -> None:
        self._triton = triton
        self._gallery = gallery
        self._analyze = analyze
        self._family = family
        self._deadline_s = deadline_s

    def check_model(self, name: str | None) -> None:
        if name not in (None, self._family):
            raise NotFound(f"there is no model {shortened(str(name))!r}: {self._family} is served", field="model")

    async def events(self, owner: str, order: Order) -> AsyncGenerator[Step | Generated, None]:
        """Every step as it is taken, then what came of it. Closing it early stops the painting within a step."""
        self._analyze.check_labels(order.labels)
        clock = _Clock()
        painted: dict[int, Painted] = {}
        async with self._triton.stream(self._family, order.inputs(), deadline_s=self._deadline_s) as answers:
            async for event in _translated(answers):
                if "image" in event:
                    painted[int(event["index"][0])] = _painted(event)
                else:
                    yield _step(event)
        pictures = [painted[index] for index in sorted(painted)]
        if not pictures:
            raise ModelUnavailable(self._family, f"the model {self._family} has ended without a picture")
        clock.stop("paint")
        images = await self._gallery.add(owner, [self._new(order, picture) for picture in pictures])
        clock.stop("store")
        analysis = await self._look(pictures[0].image, order)
        clock.stop("analyze")
        yield Generated(images, pictures[0].image, analysis, _warnings(pictures), clock.timings_ms())

    def _new(self, order: Order, picture: Painted) -> NewPicture:
        return NewPicture(
            data=picture.image,
            prompt=order.prompt,
            negative_prompt=order.negative_prompt,
            family=self._family,
            model=self._family,
            seed=picture.seed,
            params=picture.info,
        )

    async def _look(self, image: bytes, order: Order) -> Analysis:
        if not order.analyze:
            return NOTHING_SEEN
        return await self._analyze.analyze(accept_picture(image), labels=order.labels, segment=order.segment)


class _Clock:
    """How long each part took, from one stop to the next."""

    def __init__(self) -> None:
        self._started_s = self._last_s = time.monotonic()
        self._parts: dict[str, float] = {}

    def stop(self, part: str) -> None:
        now_s = time.monotonic()
        self._parts[part] = _ms(now_s - self._last_s)
        self._last_s = now_s

    def timings_ms(self) -> dict[str, float]:
        return self._parts | {"total": _ms(self._last_s - self._started_s)}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


async def _translated(answers: AsyncIterator[Arrays]) -> AsyncIterator[Arrays]:
    """A refusal names the pipeline's input; the caller knows it by the request's field."""
    try:
        async for event in answers:
            yield event
    except TriptychError as error:
        if error.field in FIELD_OF_INPUT:
            field = FIELD_OF_INPUT[error.field]
            raise type(error)(error.detail.replace(error.field, field), field=field) from error
        raise


def _step(event: Arrays) -> Step:
    preview = event["preview"].item() if "preview" in event else None
    return Step(
        int(event["index"][0]), int(event["step"][0]), int(event["steps"][0]), float(event["eta_s"][0]), preview
    )


def _painted(event: Arrays) -> Painted:
    return Painted(event["image"].item(), int(event["seed"][0]), json.loads(event["info"].item()))


def _warnings(pictures: Sequence[Painted]) -> list[str]:
    """Each once, however many pictures it is about."""
    return list(dict.fromkeys(warning for picture in pictures for warning in picture.info.get("warnings", ())))
