"""POST /generate: one answer, or with `Accept: text/event-stream` every step and then the answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response

from modelcore.errors import TriptychError
from orchestrator.context import current_request
from orchestrator.dependencies import CreatingCaller, generate_service
from orchestrator.edge.event_stream import MEDIA_TYPE, EventStream, event
from orchestrator.edge.json_route import StrictJsonRoute
from orchestrator.edge.leaving import while_connected
from orchestrator.errors import as_problem_json, problem_of
from orchestrator.generate.examples import ANSWER, REQUESTS, STREAM
from orchestrator.generate.schemas import GenerateAnswer, GenerateRequest, generate_answer, progress
from orchestrator.generate.service import Generate, Generated, Step
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


@router.post(
    "/generate",
    response_model=GenerateAnswer,
    responses=_ANSWERED | problem_responses(400, 404, 408, 413, 415, 422, 503),
)
async def generate(
    request: Request,
    response: Response,
    wishes: Annotated[GenerateRequest, Body(openapi_examples=REQUESTS)],
    owner: CreatingCaller,
    service: Annotated[Generate, Depends(generate_service)],
) -> Any:
    """Words to pictures, which are kept, and what the first of them shows."""
    service.check_model(wishes.model)
    is_streamed = MEDIA_TYPE in request.headers.get("accept", "")
    events = service.events(owner, wishes.order(is_streamed=is_streamed))
    if not is_streamed:
        return _answer(await while_connected(request, _last(events)))
    # A request that is refused is answered with its status: the stream begins with the first step.
    first = await while_connected(request, anext(events))
    stream = EventStream(_told(first, events), events)
    _take_over_cookie(response, stream)
    return stream


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


def _take_over_cookie(made_by_framework: Response, ours: Response) -> None:
    """FastAPI hands on what dependencies set only to answers that it makes itself."""
    for value in made_by_framework.headers.getlist("set-cookie"):
        ours.headers.append("set-cookie", value)
