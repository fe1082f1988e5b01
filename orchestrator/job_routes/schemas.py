"""Shapes of /jobs. Times are milliseconds since 1970, as the database keeps them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from orchestrator.analyze.schemas import AnalyzeRequest
from orchestrator.generate.schemas import GenerateRequest
from orchestrator.job_routes.intake import AnyRequest
from orchestrator.jobs.events import JobEvent
from orchestrator.jobs.forecast import Outlook
from orchestrator.jobs.model import Job, Priority, State
from orchestrator.jobs.service import MAX_PAGE, JobPage
from orchestrator.pictures.base64_pictures import write_base64
from orchestrator.probe.schemas import ProbeRequest
from orchestrator.schemas import StrictRequest
from orchestrator.segment.schemas import SegmentRequest
from orchestrator.stories.schemas import STORY_PICTURE, StoryImageRequest
from orchestrator.variations.schemas import VariationsRequest
from orchestrator.visualize.schemas import VisualizeRequest

REQUEST_OF_KIND: Mapping[str, type[AnyRequest]] = {
    "generate": GenerateRequest,
    "variations": VariationsRequest,
    STORY_PICTURE: StoryImageRequest,
    "segment": SegmentRequest,
    "analyze": AnalyzeRequest,
    "probe": ProbeRequest,
    "visualize": VisualizeRequest,
}
KINDS = ", ".join(REQUEST_OF_KIND)
_ANY_REQUEST = {"anyOf": [request.model_json_schema() for request in REQUEST_OF_KIND.values()]}


class JobRequest(StrictRequest):
    kind: Annotated[str, WithJsonSchema({"type": "string", "enum": list(REQUEST_OF_KIND)})]
    request: Annotated[dict[str, Any], WithJsonSchema(_ANY_REQUEST)] = Field(
        description="What the endpoint of the same name takes as JSON."
    )
    priority: Literal["interactive", "batch"] = Field("interactive", description="A batch waits for all others.")

    def chosen_priority(self) -> Priority:
        return Priority.BATCH if self.priority == "batch" else Priority.INTERACTIVE


class JobsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    state: State | None = None
    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the page before.")
    limit: int = Field(20, ge=1, le=MAX_PAGE)


class JobError(BaseModel):
    code: str
    detail: str


class JobBody(BaseModel):
    """One job of yours. `steps` are those of all its pictures together."""

    id: str
    url: str
    kind: str
    state: State
    priority: Literal["interactive", "batch"]
    attempt: int = Field(description="How often it was begun.")
    created_at_ms: int
    started_at_ms: int | None
    finished_at_ms: int | None
    step: int
    steps: int
    error: JobError | None


class JobDetails(JobBody):
    events_url: str
    position: int | None = Field(description="While it waits: 1 is the next. Callers take turns, so it may be sooner.")
    eta_s: float | None = Field(description="Until its end, as far as can be told.")
    request: dict[str, Any] = Field(description="As it came, without its pictures.")
    result: dict[str, Any] | None = Field(
        description="What the endpoint of the kind's name answers, without `request_id`; pictures by their addresses."
    )


class JobsPage(BaseModel):
    jobs: list[JobBody]
    next_cursor: str | None


class JobProgress(BaseModel):
    """What `queued` and `progress` events hold. `preview` is a small picture in base64, where the job makes one."""

    id: str
    state: State
    attempt: int
    step: int
    steps: int
    position: int | None
    eta_s: float | None
    preview: str | None


def job_url(job: Job) -> str:
    return f"/jobs/{job.id}"


def job_body(job: Job) -> JobBody:
    return JobBody(**_values(job))


def job_details(job: Job, outlook: Outlook) -> JobDetails:
    return JobDetails(
        **_values(job),
        events_url=f"{job_url(job)}/events",
        position=outlook.position,
        eta_s=_rounded(outlook.eta_s),
        request=job.asked,
        result=None if job.result is None else _shown(job.result),
    )


def jobs_page(page: JobPage) -> JobsPage:
    return JobsPage(jobs=[job_body(job) for job in page.jobs], next_cursor=page.next_cursor)


def event_body(event: JobEvent) -> JobDetails | JobProgress:
    """The end tells all; on the way there, what has changed."""
    job = event.job
    if job.is_done:
        return job_details(job, event.outlook)
    return JobProgress(
        id=job.id,
        state=job.state,
        attempt=job.attempt,
        step=job.step,
        steps=job.steps,
        position=event.outlook.position,
        eta_s=_rounded(event.outlook.eta_s),
        preview=None if event.preview is None else write_base64(event.preview),
    )


def _values(job: Job) -> dict[str, Any]:
    same = ("id", "kind", "state", "attempt", "created_at_ms", "started_at_ms", "finished_at_ms", "step", "steps")
    error = None if job.error_code is None else JobError(code=job.error_code, detail=job.error_detail or "")
    priority = "batch" if job.priority == Priority.BATCH else "interactive"
    return {name: getattr(job, name) for name in same} | {"url": job_url(job), "priority": priority, "error": error}


def _shown(result: Mapping[str, Any]) -> dict[str, Any]:
    """The row names pictures by their ids alone, in their order; what is known of each stands beside."""
    shown = {name: value for name, value in result.items() if name != "image_ids"}
    ids = result.get("image_ids", [])
    if not ids:
        return shown
    known = result.get("images", [{}] * len(ids))
    images = [{"id": each, "url": f"/images/{each}/file", **facts} for each, facts in zip(ids, known, strict=True)]
    return {"image_id": ids[0], **shown, "images": images}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
