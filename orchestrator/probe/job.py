"""Probing as a job. Knows no HTTP."""

from orchestrator.jobs.model import IsCancelled, Outcome, ReportProgress, Task
from orchestrator.pictures.picture import accept_picture
from orchestrator.probe.schemas import ProbeRequest, probe_answer
from orchestrator.probe.service import Probe


class ProbeHandler:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    async def __call__(self, task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
        wishes = ProbeRequest.model_validate(task.job.request)
        picture = accept_picture(task.inputs["image"])
        probed = await self._probe.probe(picture, wishes.prompt, labels=wishes.labels)
        return Outcome(answer=probe_answer(probed).model_dump(mode="json"))
