"""POST /generate: one answer, or with `Accept: text/event-stream` every step and then the answer."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends

from orchestrator.context import current_request
from orchestrator.dependencies import CreatingCaller, callers_pictures, generate_service
from orchestrator.edge.json_route import StrictJsonRoute
from orchestrator.edge.painting import AnsweringTo, painted
from orchestrator.edge.scopes import needs
from orchestrator.generate.examples import ANSWER, REQUESTS, STREAM
from orchestrator.generate.schemas import GenerateAnswer, GenerateRequest, generate_answer
from orchestrator.generate.service import Generate, Generated
from orchestrator.job_routes.dependencies import ACCEPTED_IF_PREFERRED, IntakeService, Submits
from orchestrator.pictures.callers import CallersPictures
from orchestrator.schemas import problem_responses

router = APIRouter(route_class=StrictJsonRoute, tags=["Generate"])

_PROBLEMS = problem_responses(400, 404, 408, 409, 413, 415, 422, 429, 503)


@router.post(
    "/generate",
    response_model=GenerateAnswer,
    responses=painted(ANSWER, STREAM) | ACCEPTED_IF_PREFERRED | _PROBLEMS,
)
@needs("create")
async def generate(
    wishes: Annotated[GenerateRequest, Body(openapi_examples=REQUESTS)],
    owner: CreatingCaller,
    service: Annotated[Generate, Depends(generate_service)],
    pictures: Annotated[CallersPictures, Depends(callers_pictures)],
    intake: IntakeService,
    submitter: Submits,
    answering: AnsweringTo,
) -> Any:
    """Words to pictures, which are kept, and what the first of them shows."""
    if await submitter.is_preferred():
        return await submitter.answer(await intake.generate(owner, wishes))
    service.check_model(wishes.model)
    start = await pictures.start(owner, wishes.image_id, await wishes.pictures())
    order = wishes.order_with(start, is_streamed=answering.is_streamed)
    return await answering.answer(order, GenerateAnswer, _answer)


def _answer(generated: Generated) -> GenerateAnswer:
    return generate_answer(current_request.get().request_id, generated)
