"""POST /variations: answered as /generate is, at once or as a stream."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response

from modelcore.errors import InvalidInput, TriptychError
from orchestrator.context import current_request
from orchestrator.dependencies import (
    CreatingCaller,
    gallery_service,
    generate_service,
    idempotency,
    variations_service,
)
from orchestrator.edge.event_stream import MEDIA_TYPE, EventStream, event
from orchestrator.edge.idempotency import Memory, Recording, answered_once, read_key, refuse_key_of_stream
from orchestrator.edge.json_route import StrictJsonRoute
from orchestrator.edge.leaving import while_connected
from orchestrator.edge.own_answers import with_headers_of
from orchestrator.edge.scopes import needs
from orchestrator.errors import as_problem_json, problem_of
from orchestrator.gallery.service import Gallery
from orchestrator.generate.order import Order
from orchestrator.generate.painter import Step
from orchestrator.generate.schemas import progress
from orchestrator.generate.service import Generate, Generated
from orchestrator.jobs.idempotency import Idempotency
from orchestrator.pictures.base64_pictures import write_base64
from orchestrator.schemas import Responses, problem_responses
from orchestrator.variations.examples import ANSWER, REQUESTS, STREAM
from orchestrator.variations.schemas import VariationsAnswer, VariationsRequest, variations_answer
from orchestrator.variations.service import Variations

router = APIRouter(route_class=StrictJsonRoute, tags=["Generate"])

_LAST_ONE = VariationsRequest.model_validate({})  # what a request without a body asks for
Events = AsyncGenerator[Step | Generated, None]
_ANSWERED: Responses = {
    200: {
        "description": "The variations, or a stream of `progress` events and then `completed` or `failed`.",
        "content": {
            "application/json": {"example": ANSWER},
            MEDIA_TYPE: {"schema": {"type": "string"}, "example": STREAM},
        },
    }
}


async def _memory(
    owner: CreatingCaller, gallery: Annotated[Gallery, Depends(gallery_service)]
) -> Memory[VariationsAnswer]:
    """An answer is kept without its picture, which is in the gallery."""

    async def read(stored: bytes) -> VariationsAnswer:
        answer = VariationsAnswer.model_validate_json(stored)
        first = await gallery.read(await gallery.get(owner, answer.image_id))
        return answer.model_copy(update={"generated_image": write_base64(first)})

    return Memory(_without_picture, read)


@router.post(
    "/variations",
    response_model=VariationsAnswer,
    responses=_ANSWERED | problem_responses(400, 404, 408, 409, 413, 415, 422, 429, 503),
)
@needs("create")
async def vary(
    request: Request,
    response: Response,
    owner: CreatingCaller,
    service: Annotated[Variations, Depends(variations_service)],
    generate: Annotated[Generate, Depends(generate_service)],
    records: Annotated[Idempotency, Depends(idempotency)],
    memory: Annotated[Memory[VariationsAnswer], Depends(_memory)],
    wishes: Annotated[VariationsRequest, Body(openapi_examples=REQUESTS)] = _LAST_ONE,
) -> Any:
    """Pictures like one that is there: other noise, or painted over. They are kept, and know what they came from."""
    generate.check_model(wishes.model)
    is_streamed = MEDIA_TYPE in request.headers.get("accept", "")
    order = await _order(service, owner, wishes, is_streamed=is_streamed)
    key = await read_key(request)
    if is_streamed:
        refuse_key_of_stream(key)
        events = generate.events(owner, order)
        first = await while_connected(request, anext(events))
        return with_headers_of(response, EventStream(_told(order, first, events), events))
    if key is None:
        return await while_connected(request, _answered(order, generate.events(owner, order)))

    async def work(recording: Recording[VariationsAnswer]) -> Generated:
        return await _last(generate.events(owner, order, recording.of(partial(_answer, order))))

    return with_headers_of(response, await answered_once(request, records, owner, key, work, memory))


async def _order(service: Variations, owner: str, wishes: VariationsRequest, *, is_streamed: bool) -> Order:
    sent = wishes.sent()
    if sent is not None and wishes.image_id is not None:
        raise InvalidInput("send a picture or name one, not both", field="image_id")
    painting = wishes.wishes(is_streamed=is_streamed)
    if sent is None:
        order = await service.of_named(owner, wishes.image_id, painting)
    else:
        order = await service.of_sent(sent, painting)
    return wishes.looked_at(order)


async def _answered(order: Order, events: Events) -> VariationsAnswer:
    return _answer(order, await _last(events))


async def _last(events: Events) -> Generated:
    async with aclosing(events):
        *_, last = [one async for one in events]
    assert isinstance(last, Generated)
    return last


async def _told(order: Order, first: Step | Generated, events: Events) -> AsyncGenerator[str, None]:
    try:
        yield _written(order, first)
        async for one in events:
            yield _written(order, one)
    except TriptychError as error:
        yield event("failed", as_problem_json(problem_of(error), current_request.get().request_id))


def _written(order: Order, one: Step | Generated) -> str:
    if isinstance(one, Step):
        return event("progress", progress(one).model_dump())
    return event("completed", _answer(order, one).model_dump(by_alias=True))


def _answer(order: Order, generated: Generated) -> VariationsAnswer:
    return variations_answer(current_request.get().request_id, order, generated)


def _without_picture(answer: VariationsAnswer) -> bytes:
    return answer.model_copy(update={"generated_image": ""}).model_dump_json(by_alias=True).encode()
