"""POST /analyze: about a picture that is sent, in one shape; about one that is here already, in another."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from orchestrator.analyze.schemas import (
    AnalyzeRequest,
    KnownPictureAnswer,
    SentPictureAnswer,
    known_picture_answer,
    sent_picture_answer,
)
from orchestrator.analyze.service import Analyze
from orchestrator.context import current_request
from orchestrator.dependencies import Caller, analyze_service, callers_pictures
from orchestrator.edge.leaving import while_connected
from orchestrator.edge.picture_request import picture_body, read_picture_request
from orchestrator.edge.scopes import needs
from orchestrator.job_routes.dependencies import ACCEPTED_IF_PREFERRED, IntakeService, Submits
from orchestrator.pictures.callers import CallersPictures
from orchestrator.schemas import problem_responses

router = APIRouter(tags=["Understand"])
_EXAMPLE = {"labels": ["a red circle", "a blue square"], "top": 2}


@router.post(
    "/analyze",
    response_model=SentPictureAnswer | KnownPictureAnswer,
    openapi_extra=picture_body(AnalyzeRequest, _EXAMPLE),
    responses=ACCEPTED_IF_PREFERRED | problem_responses(400, 404, 408, 409, 413, 415, 422, 429, 503),
)
@needs("read")
async def analyze(
    request: Request,
    owner: Caller,
    service: Annotated[Analyze, Depends(analyze_service)],
    pictures: Annotated[CallersPictures, Depends(callers_pictures)],
    intake: IntakeService,
    submitter: Submits,
) -> Any:
    """What a picture shows: the best fitting labels, and its regions."""
    is_job = await submitter.is_preferred()
    wishes, sent = await read_picture_request(request, AnalyzeRequest)
    if is_job:
        return await submitter.answer(await intake.analyze(await submitter.creator(), wishes, sent))
    picture = await pictures.picture(owner, wishes.image_id, sent)
    work = service.analyze(picture, labels=wishes.labels, top=wishes.top, segment=wishes.segment)
    analysis = await while_connected(request, work)
    write = known_picture_answer if sent is None else sent_picture_answer
    return write(current_request.get().request_id, analysis)
