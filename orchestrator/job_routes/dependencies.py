"""How a route hands work to a job: FastAPI's side of `intake.py`."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from starlette.responses import JSONResponse

from orchestrator.dependencies import intake, jobs_service
from orchestrator.edge.caller import creating_caller
from orchestrator.edge.idempotency import REPLAYED, KeyHeader, read_key
from orchestrator.edge.own_answers import with_headers_of
from orchestrator.edge.preferences import RESPOND_ASYNC, prefers_async
from orchestrator.edge.scopes import check_key_may
from orchestrator.job_routes.examples import JOB
from orchestrator.job_routes.intake import Intake
from orchestrator.job_routes.schemas import JobDetails, job_details, job_url
from orchestrator.jobs.acceptance import Accepted
from orchestrator.jobs.model import Submission
from orchestrator.jobs.service import Jobs
from orchestrator.schemas import Responses

_LOCATION = {"description": "Where the job is.", "schema": {"type": "string"}}
ACCEPTED: Responses = {
    202: {
        "description": "The job is accepted: it will come to an end, whatever happens to this server.",
        "content": {"application/json": {"example": JOB}},
        "headers": {"Location": _LOCATION},
        "model": JobDetails,
    }
}
ACCEPTED_IF_PREFERRED: Responses = {
    202: ACCEPTED[202] | {"description": "With `Prefer: respond-async`: a job that does the same."}
}
_Prefer = Annotated[str | None, Header(description="`respond-async`: answer 202 with a job, and do the work later.")]
JobsService = Annotated[Jobs, Depends(jobs_service)]
IntakeService = Annotated[Intake, Depends(intake)]


@dataclass(frozen=True)
class Submitter:
    """For one request: what it asks for becomes a job, and one job only, however often its Idempotency-Key comes."""

    request: Request
    response: Response  # FastAPI's own, which has the cookie of a new session
    jobs: Jobs

    async def is_preferred(self) -> bool:
        """Asked first: it keeps the body, which reading a form would use up."""
        if prefers_async(self.request):
            await self.request.body()
            return True
        return False

    async def creator(self) -> str:
        """For who only looks as a rule: a job belongs to somebody, and is something that is left behind."""
        check_key_may(self.request, "create")
        return await creating_caller(self.request, self.response)

    async def submit(self, submission: Submission) -> Accepted:
        accepted = await self.jobs.submit(submission, await read_key(self.request))
        if accepted.is_replay:
            self.response.headers[REPLAYED] = "true"
        return accepted

    async def answer(self, submission: Submission) -> Response:
        """202 with the job."""
        accepted = await self.submit(submission)
        body = job_details(accepted.job, await self.jobs.outlook(accepted.job))
        answer = JSONResponse(body.model_dump(mode="json"), 202, {"Location": job_url(accepted.job)})
        if prefers_async(self.request):
            answer.headers["Preference-Applied"] = RESPOND_ASYNC
        return with_headers_of(self.response, answer)


async def submitter(
    request: Request,
    response: Response,
    jobs: JobsService,
    idempotency_key: KeyHeader = None,  # these two are read where they are needed, and described here
    prefer: _Prefer = None,
) -> Submitter:
    return Submitter(request, response, jobs)


Submits = Annotated[Submitter, Depends(submitter)]
