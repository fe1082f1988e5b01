"""POST /generate-image and GET /job/{job_id}."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends

from modelcore.errors import NotFound
from orchestrator.dependencies import Caller, CreatingCaller, gallery_service
from orchestrator.edge.caller import NOBODY
from orchestrator.edge.json_route import StrictJsonRoute
from orchestrator.edge.scopes import needs
from orchestrator.gallery.service import Gallery
from orchestrator.job_routes.dependencies import IntakeService, JobsService, Submits
from orchestrator.job_routes.router import checked
from orchestrator.jobs.model import Job
from orchestrator.pictures.base64_pictures import write_base64
from orchestrator.schemas import Responses, problem_responses
from orchestrator.stories.schemas import STATUS_OF, STORY_PICTURE, PendingJob, StoryImageRequest, StoryJob, StoryResult

router = APIRouter(route_class=StrictJsonRoute, tags=["Stories"])

_WITH_A_PICTURE = (STORY_PICTURE, "generate")
_ID = "0f0b8e1c-5d5e-4f4c-8a63-9c1b0f4f8f2a"
_REQUESTS = {"a story": {"value": {"story": "A magical forest at sunset..."}}}
_PENDING: Responses = {200: {"content": {"application/json": {"example": {"job_id": _ID, "status": "pending"}}}}}
_DONE = {"job_id": _ID, "status": "completed", "result": {"image": "data:image/png;base64,iVBORw0KGgo..."}}
_JOB: Responses = {200: {"content": {"application/json": {"example": _DONE}}}}


@router.post("/generate-image", responses=_PENDING | problem_responses(400, 404, 408, 409, 413, 415, 422, 429, 503))
@needs("create")
async def picture_story(
    wishes: Annotated[StoryImageRequest, Body(openapi_examples=_REQUESTS)],
    owner: CreatingCaller,
    intake: IntakeService,
    submitter: Submits,
) -> PendingJob:
    """A story to a picture, while nobody waits: ask `/job/{job_id}` for it."""
    accepted = await submitter.submit(await intake.story_picture(owner, wishes))
    return PendingJob(job_id=accepted.job.id, status=STATUS_OF[accepted.job.state])


@router.get("/job/{job_id}", response_model_exclude_none=True, responses=_JOB | problem_responses(404, 503))
@needs("read")
async def read_story_job(
    job_id: str, owner: Caller, jobs: JobsService, gallery: Annotated[Gallery, Depends(gallery_service)]
) -> StoryJob:
    """Where it stands, and at its end the picture itself. Who keeps no cookies may ask by the id alone."""
    if owner == NOBODY:
        job = await jobs.get_by_ticket(checked(job_id), STORY_PICTURE)
    else:
        job = await jobs.get(owner, checked(job_id))
    if job.kind not in _WITH_A_PICTURE:
        raise NotFound("there is no such job", field="job_id")
    result = await _result(job, gallery) if job.state == "completed" else None
    return StoryJob(job_id=job.id, status=STATUS_OF[job.state], result=result, error=_error(job, result))


async def _result(job: Job, gallery: Gallery) -> StoryResult | None:
    """None where the picture was deleted since."""
    try:
        image = await gallery.get(job.owner, (job.result or {})["image_ids"][0])
        picture = await gallery.read(image)
    except NotFound:
        return None
    return StoryResult(image=f"data:{image.media_type};base64,{write_base64(picture)}")


def _error(job: Job, result: StoryResult | None) -> str | None:
    if job.state == "cancelled":
        return "it was cancelled"
    return "its picture was deleted" if job.state == "completed" and result is None else job.error_detail
