"""POST /segment."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from orchestrator.context import current_request
from orchestrator.dependencies import Caller, callers_pictures, segment_service
from orchestrator.edge.leaving import while_connected
from orchestrator.edge.picture_request import picture_body, read_picture_request
from orchestrator.edge.scopes import needs
from orchestrator.job_routes.dependencies import ACCEPTED_IF_PREFERRED, IntakeService, Submits
from orchestrator.pictures.callers import CallersPictures
from orchestrator.schemas import problem_responses
from orchestrator.segment.schemas import SegmentAnswer, SegmentRequest, segment_answer
from orchestrator.segment.service import Segment

router = APIRouter(tags=["Understand"])


@router.post(
    "/segment",
    response_model=SegmentAnswer,
    openapi_extra=picture_body(SegmentRequest, {"points": [[[40, 52]]], "mask_format": "polygon"}),
    responses=ACCEPTED_IF_PREFERRED | problem_responses(400, 404, 408, 409, 413, 415, 422, 429, 503),
)
@needs("read")
async def segment(
    request: Request,
    owner: Caller,
    service: Annotated[Segment, Depends(segment_service)],
    pictures: Annotated[CallersPictures, Depends(callers_pictures)],
    intake: IntakeService,
    submitter: Submits,
) -> Any:
    """The regions of a picture, or what is pointed at, and what each of them is."""
    is_job = await submitter.is_preferred()
    wishes, sent = await read_picture_request(request, SegmentRequest)
    if is_job:
        return await submitter.answer(await intake.segment(await submitter.creator(), wishes, sent))
    question = wishes.question()
    picture = await pictures.picture(owner, wishes.image_id, sent)
    work = service.segment(picture, question, labels=wishes.labels, top=wishes.top)
    segmented = await while_connected(request, work)
    return await asyncio.to_thread(segment_answer, current_request.get().request_id, segmented, wishes.mask_format)
