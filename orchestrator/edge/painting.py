"""What every route that paints does once it is known what: one answer, once for a key, or every step and then it."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Response

from modelcore.errors import TriptychError
from orchestrator.context import current_request
from orchestrator.dependencies import CreatingCaller, gallery_service, generate_service, idempotency
from orchestrator.edge.event_stream import MEDIA_TYPE, EventStream, event
from orchestrator.edge.idempotency import KeyHeader, Memory, Recording, answered_once, read_key, refuse_key_of_stream
from orchestrator.edge.leaving import while_connected
from orchestrator.edge.own_answers import with_headers_of
from orchestrator.errors import as_problem_json, problem_of
from orchestrator.gallery.service import Gallery
from orchestrator.generate.order import Order
from orchestrator.generate.painter import Step
from orchestrator.generate.schemas import GenerateAnswer, progress
from orchestrator.generate.service import Generate, Generated
from orchestrator.jobs.idempotency import Idempotency, IdempotencyKey
from orchestrator.pictures.base64_pictures import write_base64
from orchestrator.schemas import Responses

Answer = TypeVar("Answer", bound=GenerateAnswer)
Events = AsyncGenerator[Step | Generated, None]
AnswerOf = Callable[[Generated], Answer]


def painted(answer: Mapping[str, Any], stream: str) -> Responses:
    """What such a route says of its answers, by these examples."""
    return {
        200: {
            "description": "The pictures, or a stream of `progress` events and then `completed` or `failed`.",
            "content": {
                "application/json": {"example": answer},
                MEDIA_TYPE: {"schema": {"type": "string"}, "example": stream},
            },
        }
    }


@dataclass(frozen=True)
class Answering:
    request: Request
    response: Response
    owner: str
    service: Generate
    gallery: Gallery
    records: Idempotency

    @property
    def is_streamed(self) -> bool:
        return MEDIA_TYPE in self.request.headers.get("accept", "")

    async def answer(self, order: Order, kind: type[Answer], answer_of: AnswerOf[Answer]) -> Any:
        key = await read_key(self.request)
        if self.is_streamed:
            refuse_key_of_stream(key)
            return await self._stream(order, answer_of)
        if key is None:
            return await while_connected(self.request, self._answered(order, answer_of))
        return await self._once(order, key, kind, answer_of)

    async def _stream(self, order: Order, answer_of: AnswerOf[Answer]) -> Response:
        """A request that is refused is answered with its status: the stream begins with the first step."""
        events = self.service.events(self.owner, order)
        first = await while_connected(self.request, anext(events))
        return with_headers_of(self.response, EventStream(_told(first, events, answer_of), events))

    async def _answered(self, order: Order, answer_of: AnswerOf[Answer]) -> Answer:
        return answer_of(await _last(self.service.events(self.owner, order)))

    async def _once(self, order: Order, key: IdempotencyKey, kind: type[Answer], answer_of: AnswerOf[Answer]) -> Any:
        async def work(recording: Recording[Answer]) -> Generated:
            return await _last(self.service.events(self.owner, order, recording.of(answer_of)))

        memory = Memory(_without_picture, partial(self._again, kind))
        answer = await answered_once(self.request, self.records, self.owner, key, work, memory)
        return with_headers_of(self.response, answer)

    async def _again(self, kind: type[Answer], stored: bytes) -> Answer:
        """An answer is kept without its picture, which is in the gallery."""
        answer = kind.model_validate_json(stored)
        first = await self.gallery.read(await self.gallery.get(self.owner, answer.image_id))
        return answer.model_copy(update={"generated_image": write_base64(first)})


async def _answering(
    request: Request,
    response: Response,
    owner: CreatingCaller,
    service: Annotated[Generate, Depends(generate_service)],
    gallery: Annotated[Gallery, Depends(gallery_service)],
    records: Annotated[Idempotency, Depends(idempotency)],
    idempotency_key: KeyHeader = None,  # read where it is needed, and described here
) -> Answering:
    return Answering(request, response, owner, service, gallery, records)


AnsweringTo = Annotated[Answering, Depends(_answering)]


async def _last(events: Events) -> Generated:
    async with aclosing(events):
        *_, last = [one async for one in events]
    assert isinstance(last, Generated)
    return last


async def _told(first: Step | Generated, events: Events, answer_of: AnswerOf[Answer]) -> AsyncGenerator[str, None]:
    try:
        yield _written(first, answer_of)
        async for one in events:
            yield _written(one, answer_of)
    except TriptychError as error:
        yield event("failed", as_problem_json(problem_of(error), current_request.get().request_id))


def _written(one: Step | Generated, answer_of: AnswerOf[Answer]) -> str:
    if isinstance(one, Step):
        return event("progress", progress(one).model_dump())
    return event("completed", answer_of(one).model_dump(by_alias=True))


def _without_picture(answer: GenerateAnswer) -> bytes:
    return answer.model_copy(update={"generated_image": ""}).model_dump_json(by_alias=True).encode()
