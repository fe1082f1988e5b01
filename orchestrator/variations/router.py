"""POST /variations: answered as /generate is, at once or as a stream."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends

from orchestrator.context import current_request
from orchestrator.dependencies import CreatingCaller, generate_service, variations_service
from orchestrator.edge.json_route import StrictJsonRoute
from orchestrator.edge.painting import AnsweringTo, painted
from orchestrator.edge.scopes import needs
from orchestrator.generate.order import Order
from orchestrator.generate.service import Generate, Generated
from orchestrator.job_routes.dependencies import ACCEPTED_IF_PREFERRED, IntakeService, Submits
from orchestrator.schemas import problem_responses
from orchestrator.variations.examples import ANSWER, REQUESTS, STREAM
from orchestrator.variations.schemas import VariationsAnswer, VariationsRequest, variations_answer
from orchestrator.variations.service import Variations

router = APIRouter(route_class=StrictJsonRoute, tags=["Generate"])

_LAST_ONE = VariationsRequest.model_validate({})  # what a request without a body asks for
_PROBLEMS = problem_responses(400, 404, 408, 409, 413, 415, 422, 429, 503)


@router.post(
    "/variations",
    response_model=VariationsAnswer,
    responses=painted(ANSWER, STREAM) | ACCEPTED_IF_PREFERRED | _PROBLEMS,
)
@needs("create")
async def vary(
    owner: CreatingCaller,
    service: Annotated[Variations, Depends(variations_service)],
    generate: Annotated[Generate, Depends(generate_service)],
    intake: IntakeService,
    submitter: Submits,
    answering: AnsweringTo,
    wishes: Annotated[VariationsRequest, Body(openapi_examples=REQUESTS)] = _LAST_ONE,
) -> Any:
    """Pictures like one that is there: other noise, or painted over. They are kept, and know what they came from."""
    if await submitter.is_preferred():
        return await submitter.answer(await intake.variations(owner, wishes))
    generate.check_model(wishes.model)
    painting = wishes.wishes(is_streamed=answering.is_streamed)
    planned = await service.planned(owner, wishes.image_id, await wishes.sent(), painting)
    order = wishes.looked_at(await service.worded(planned))
    return await answering.answer(order, VariationsAnswer, partial(_answer, order))


def _answer(order: Order, generated: Generated) -> VariationsAnswer:
    return variations_answer(current_request.get().request_id, order, generated)
