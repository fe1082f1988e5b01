"""POST /generate: one answer, or with `Accept: text/event-stream` every step and then the answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response

from modelcore.errors import TriptychError
from orchestrator.context import current_request
from orchestrator.dependencies import CreatingCaller, callers_pictures, gallery_service, generate_service, idempotency
from orchestrator.edge.event_stream import MEDIA_TYPE, EventStream, event
from orchestrator.edge.idempotency import Memory, Recording, answered_once, read_key, refuse_key_of_stream
from orchestrator.edge.json_route import StrictJsonRoute
from orchestrator.edge.leaving import while_connected
from orchestrator.edge.own_answers import with_headers_of
from orchestrator.edge.scopes import needs
from orchestrator.errors import as_problem_json, problem_of
from orchestrator.gallery.service import Gallery
from orchestrator.generate.examples import ANSWER, REQUESTS, STREAM
from orchestrator.generate.painter import Step
from orchestrator.generate.schemas import GenerateAnswer, GenerateRequest, generate_answer, progress
from orchestrator.generate.service import Generate, Generated
from orchestrator.job_routes.dependencies import ACCEPTED_IF_PREFERRED, IntakeService, Submits
from orchestrator.jobs.idempotency import Idempotency
from orchestrator.pictures.base64_pictures import write_base64
from orchestrator.pictures.callers import CallersPictures
from orchestrator.schemas import Responses, problem_responses

router = APIRouter(route_class=StrictJsonRoute, tags=["Generate"])

Events = AsyncGenerator[Step | Generated, None]
_ANSWERED: Responses = {
    200: {
        "description": "The pictures, or a stream of `progress` events and then `completed` or `failed`.",
        "content": {
            "application/json": {"example": ANSWER},
            MEDIA_TYPE: {"schema": {"type": "string"}, "example": STREAM},
        },
    }
}


async def _memory(
    owner: CreatingCaller, gallery: Annotated[Gallery, Depends(gallery_service)]
) -> Memory[GenerateAnswer]:
    """An answer is kept without its picture, which is in the gallery."""

    async def read(stored: bytes) -> GenerateAnswer:
        answer = GenerateAnswer.model_validate_json(stored)
        first = await gallery.read(await gallery.get(owner, answer.image_id))
        return answer.model_copy(update={"generated_image": write_base64(first)})

    return Memory(_without_picture, read)


@router.post(
    "/generate",
    response_model=GenerateAnswer,
    responses=_ANSWERED | ACCEPTED_IF_PREFERRED | problem_responses(400, 404, 408, 409, 413, 415, 422, 429, 503),
)
@needs("create")
async def generate(
    request: Request,
    response: Response,
    wishes: Annotated[GenerateRequest, Body(openapi_examples=REQUESTS)],
    owner: CreatingCaller,
    service: Annotated[Generate, Depends(generate_service)],
    pictures: Annotated[CallersPictures, Depends(callers_pictures)],
    intake: IntakeService,
    submitter: Submits,
    records: Annotated[Idempotency, Depends(idempotency)],
    memory: Annotated[Memory[GenerateAnswer], Depends(_memory)],
) -> Any:
    """Words to pictures, which are kept, and what the first of them shows."""
    if await submitter.is_preferred():
        return await submitter.answer(await intake.generate(owner, wishes))
    service.check_model(wishes.model)
    is_streamed = MEDIA_TYPE in request.headers.get("accept", "")
    start = await pictures.start(owner, wishes.image_id, wishes.pictures())
    order = wishes.order_with(start, is_streamed=is_streamed)
    key = await read_key(request)
    if is_streamed:
        refuse_key_of_stream(key)
        events = service.events(owner, order)
        # A request that is refused is answered with its status: the stream begins with the first step.
        first = await while_connected(request, anext(events))
        return with_headers_of(response, EventStream(_told(first, events), events))
    if key is None:
        return await while_connected(request, _answered(service.events(owner, order)))

    async def work(recording: Recording[GenerateAnswer]) -> Generated:
        return await _last(service.events(owner, order, recording.of(_answer)))

    return with_headers_of(response, await answered_once(request, records, owner, key, work, memory))


async def _answered(events: Events) -> GenerateAnswer:
    return _answer(await _last(events))


def _without_picture(answer: GenerateAnswer) -> bytes:
    return answer.model_copy(update={"generated_image": ""}).model_dump_json(by_alias=True).encode()


async def _last(events: Events) -> Generated:
    async with aclosing(events):
        *_, last = [one async for one in events]
    assert isinstance(last, Generated)
    return last


async def _told(first: Step | Generated, events: Events) -> AsyncGenerator[str, None]:
    try:
        yield _written(first)
        async for one in events:
            yield _written(one)
    except TriptychError as error:
        yield event("failed", as_problem_json(problem_of(error), current_request.get().request_id))


def _written(one: Step | Generated) -> str:
    if isinstance(one, Step):
        return event("progress", progress(one).model_dump())
    return event("completed", _answer(one).model_dump(by_alias=True))


def _answer(generated: Generated) -> GenerateAnswer:
    return generate_answer(current_request.get().request_id, generated)
