"""POST /probe."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from orchestrator.dependencies import Caller, callers_pictures, probe_service
from orchestrator.edge.leaving import while_connected
from orchestrator.edge.picture_request import picture_body, read_picture_request
from orchestrator.edge.scopes import needs
from orchestrator.pictures.callers import CallersPictures
from orchestrator.probe.schemas import ProbeAnswer, ProbeRequest, probe_answer
from orchestrator.probe.service import Probe
from orchestrator.schemas import problem_responses

router = APIRouter(tags=["Understand"])


@router.post(
    "/probe",
    openapi_extra=picture_body(ProbeRequest, {"prompt": "metal"}, required=True),
    responses=problem_responses(400, 404, 408, 413, 415, 422, 503),
)
@needs("read")
async def probe(
    request: Request,
    owner: Caller,
    service: Annotated[Probe, Depends(probe_service)],
    pictures: Annotated[CallersPictures, Depends(callers_pictures)],
) -> ProbeAnswer:
    """How well one word or sentence fits a picture, and each of its regions."""
    wishes, sent = await read_picture_request(request, ProbeRequest)
    picture = await pictures.picture(owner, wishes.image_id, sent)
    return probe_answer(await while_connected(request, service.probe(picture, wishes.prompt, labels=wishes.labels)))
