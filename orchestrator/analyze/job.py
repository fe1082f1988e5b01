"""Analyzing as a job. Knows no HTTP."""

from orchestrator.analyze.schemas import AnalyzeRequest, known_picture_answer, seen_in
from orchestrator.analyze.service import Analyze
from orchestrator.jobs.model import IsCancelled, Outcome, ReportProgress, Task
from orchestrator.pictures.picture import accept_picture


class AnalyzeHandler:
    """As the endpoint: in one shape about a picture that was sent, in another about one of the gallery."""

    def __init__(self, analyze: Analyze) -> None:
        self._analyze = analyze

    async def __call__(self, task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
        wishes = AnalyzeRequest.model_validate(task.job.request)
        picture = accept_picture(task.inputs["image"])
        analysis = await self._analyze.analyze(picture, labels=wishes.labels, top=wishes.top, segment=wishes.segment)
        if wishes.image_id is None:
            return Outcome(answer=seen_in(analysis))
        answer = known_picture_answer("", analysis)
        return Outcome(answer=answer.model_dump(mode="json", exclude={"request_id"}))
