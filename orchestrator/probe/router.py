"""POST /probe."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from orchestrator.dependencies import Caller, callers_pictures, probe_service
from orchestrator.edge.leaving import while_connected
from orchestrator.edge.picture_request import picture_body, read_picture_request
from orchestrator.edge.scopes import needs
from orchestrator.job_routes.dependencies import ACCEPTED_IF_PREFERRED, IntakeService, Submits
from orchestrator.pictures.callers import CallersPictures
from orchestrator.probe.schemas import ProbeAnswer, ProbeRequest, probe_answer
from orchestrator.probe.service import Probe
from orchestrator.schemas import problem_responses

router = APIRouter(tags=["Understand"])


@router.post(
    "/probe",
    response_model=ProbeAnswer,
    openapi_extra=picture_body(ProbeRequest, {"prompt": "metal"}, required=True),
    responses=ACCEPTED_IF_PREFERRED | problem_responses(400, 404, 408, 409, 413, 415, 422, 429, 503),
)
@needs("read")
async def probe(
    request: Request,
    owner: Caller,
    service: Annotated[Probe, Depends(probe_service)],
    pictures: Annotated[CallersPictures, Depends(callers_pictures)],
    intake: IntakeService,
    submitter: Submits,
) -> Any:
    """How well one word or sentence fits a picture, and each of its regions."""
    is_job = await submitter.is_preferred()
    wishes, sent = await read_picture_request(request, ProbeRequest)
    if is_job:
        return await submitter.answer(await intake.probe(await submitter.creator(), wishes, sent))
    picture = await pictures.picture(owner, wishes.image_id, sent)
    return probe_answer(await while_connected(request, service.probe(picture, wishes.prompt, labels=wishes.labels)))
