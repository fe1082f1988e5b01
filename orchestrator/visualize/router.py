"""POST /visualize."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from orchestrator.dependencies import Caller, callers_pictures, visualize_service
from orchestrator.edge.leaving import while_connected
from orchestrator.edge.picture_request import picture_body, read_picture_request
from orchestrator.edge.scopes import needs
from orchestrator.job_routes.dependencies import ACCEPTED_IF_PREFERRED, IntakeService, Submits
from orchestrator.pictures.callers import CallersPictures
from orchestrator.schemas import problem_responses
from orchestrator.visualize.schemas import VisualizeAnswer, VisualizeRequest, visualize_answer
from orchestrator.visualize.service import Visualize

router = APIRouter(tags=["Understand"])


@router.post(
    "/visualize",
    response_model=VisualizeAnswer,
    openapi_extra=picture_body(VisualizeRequest, {"longest_px": 512, "format": "jpeg"}),
    responses=ACCEPTED_IF_PREFERRED | problem_responses(400, 404, 408, 409, 413, 415, 422, 429, 503),
)
@needs("read")
async def visualize(
    request: Request,
    owner: Caller,
    service: Annotated[Visualize, Depends(visualize_service)],
    pictures: Annotated[CallersPictures, Depends(callers_pictures)],
    intake: IntakeService,
    submitter: Submits,
) -> Any:
    """All regions drawn over the picture, and each of them alone in a spotlight. A second call finds them drawn."""
    is_job = await submitter.is_preferred()
    wishes, sent = await read_picture_request(request, VisualizeRequest)
    if is_job:
        return await submitter.answer(await intake.visualize(await submitter.creator(), wishes, sent))
    picture = await pictures.picture(owner, wishes.image_id, sent)
    return visualize_answer(
        await while_connected(request, service.visualize(picture, wishes.view(), labels=wishes.labels))
    )
