"""POST and GET /jobs, GET and DELETE /jobs/{job_id}, GET /jobs/{job_id}/events and /files."""

import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Body, Header, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from modelcore.errors import InvalidInput, NotFound, TriptychError, Unavailable
from orchestrator.dependencies import Caller, CreatingCaller
from orchestrator.edge.event_stream import MEDIA_TYPE, EventStream, event
from orchestrator.edge.json_route import StrictJsonRoute
from orchestrator.edge.scopes import needs
from orchestrator.errors import shortened
from orchestrator.job_routes.dependencies import ACCEPTED, IntakeService, JobsService, Submits
from orchestrator.job_routes.examples import EVENTS, JOB, REQUESTS, SUMMARY
from orchestrator.job_routes.intake import AnyRequest
from orchestrator.job_routes.schemas import (
    KINDS,
    REQUEST_OF_KIND,
    JobDetails,
    JobRequest,
    JobsPage,
    JobsQuery,
    event_body,
    job_details,
    jobs_page,
)
from orchestrator.jobs.events import BEFORE_ALL, JobEvent, event_of
from orchestrator.schemas import Responses, problem_responses

router = APIRouter(route_class=StrictJsonRoute, tags=["Jobs"])

_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FILE_ID = re.compile(r"[a-z_]{1,30}[0-9]{0,9}")
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE: Responses = {
    200: {"description": "The picture's bytes.", "content": dict.fromkeys(("image/png", "image/jpeg"), _BINARY)}
}
_JOB: Responses = {200: {"content": {"application/json": {"example": JOB}}}}
_PAGE: Responses = {200: {"content": {"application/json": {"example": {"jobs": [SUMMARY], "next_cursor": None}}}}}
_EVENTS: Responses = {
    200: {
        "description": "`queued` and `progress` events, then one of `completed`, `failed`, `cancelled`.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": EVENTS}},
    },
    204: {"description": "The job has ended, and Last-Event-ID says that you know."},
}
LastEventId = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=2**53, description="The last `id` seen.")]


@router.post(
    "/jobs",
    status_code=202,
    response_model=JobDetails,
    responses=ACCEPTED | problem_responses(400, 404, 408, 409, 413, 415, 422, 429, 503),
)
@needs("create")
async def submit_job(
    wishes: Annotated[JobRequest, Body(openapi_examples=REQUESTS)],
    owner: CreatingCaller,
    intake: IntakeService,
    submitter: Submits,
) -> Response:
    """Work to be done without anybody waiting. What is accepted is never lost, and its pictures appear once."""
    request = _read_request(wishes)
    try:
        submission = await intake.submission(owner, request)
    except TriptychError as error:
        if error.field:
            raise type(error)(error.detail, field=f"request.{error.field}") from error
        raise
    return await submitter.answer(replace(submission, priority=wishes.chosen_priority()))


@router.get("/jobs", responses=_PAGE | problem_responses(400, 422, 503))
@needs("read")
async def list_jobs(query: Annotated[JobsQuery, Query()], owner: Caller, jobs: JobsService) -> JobsPage:
    """Your jobs, the newest first."""
    return jobs_page(await jobs.page(owner, query.state, query.cursor, query.limit))


@router.get("/jobs/{job_id}", responses=_JOB | problem_responses(404, 503))
@needs("read")
async def describe_job(job_id: str, owner: Caller, jobs: JobsService) -> JobDetails:
    """Where it stands; at its end, what came of it."""
    job = await jobs.get(owner, checked(job_id))
    return job_details(job, await jobs.outlook(job))


@router.delete("/jobs/{job_id}", responses=_JOB | problem_responses(404, 503))
@needs("create")
async def cancel_job(job_id: str, owner: Caller, jobs: JobsService) -> JobDetails:
    """Stops the work within a step. What has ended already stays as it is; the answer is the job, either way."""
    job = await jobs.cancel(owner, checked(job_id))
    return job_details(job, await jobs.outlook(job))


@router.get("/jobs/{job_id}/events", response_class=Response, responses=_EVENTS | problem_responses(404, 422, 503))
@needs("read")
async def follow_job(job_id: str, owner: Caller, jobs: JobsService, last_event_id: LastEventId = None) -> Response:
    """Every step as it is taken, with previews, and the end. A client that comes back misses nothing that matters."""
    job = await jobs.get(owner, checked(job_id))
    after = BEFORE_ALL if last_event_id is None else last_event_id
    if job.is_done and event_of(job).id <= after:
        return Response(status_code=204)  # which tells a browser's EventSource not to come again
    source = jobs.follow(owner, job.id, after)
    return EventStream(_told(source), source)


@router.get("/jobs/{job_id}/files/{file_id}", response_class=Response, responses=_FILE | problem_responses(404, 503))
@needs("read")
async def read_job_file(job_id: str, file_id: str, owner: Caller, jobs: JobsService) -> Response:
    """A picture that a job's result names by its address. It is kept as long as the job."""
    if not _FILE_ID.fullmatch(file_id):
        raise NotFound("there is no such file")
    file = await jobs.file(owner, checked(job_id), file_id)
    return Response(file.data, media_type=file.media_type, headers={"Cache-Control": "private, max-age=3600"})


def checked(job_id: str) -> str:
    """What is no id of ours is no job either; a database need not see it."""
    if not _JOB_ID.fullmatch(job_id):
        raise NotFound("there is no such job", field="job_id")
    return job_id


def _read_request(wishes: JobRequest) -> AnyRequest:
    kind = REQUEST_OF_KIND.get(wishes.kind)
    if kind is None:
        raise InvalidInput(f"kind must be one of {KINDS}: {shortened(wishes.kind)!r}", field="kind")
    try:
        return kind.model_validate(wishes.request)
    except ValidationError as error:
        items = [{**item, "loc": ("body", "request", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(items) from None


async def _told(source: AsyncGenerator[JobEvent, None]) -> AsyncGenerator[str, None]:
    # Half a stream cannot say what is wrong: the client comes back with the last id, and hears it then.
    with suppress(Unavailable, NotFound):
        async for one in source:
            yield event(one.name, event_body(one).model_dump(mode="json"), event_id=one.id)
