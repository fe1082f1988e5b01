"""Segmenting as a job. Knows no HTTP."""

import asyncio

from orchestrator.jobs.model import IsCancelled, Outcome, ReportProgress, Task
from orchestrator.pictures.picture import accept_picture
from orchestrator.segment.schemas import SegmentRequest, segment_answer
from orchestrator.segment.service import Segment


class SegmentHandler:
    def __init__(self, segment: Segment) -> None:
        self._segment = segment

    async def __call__(self, task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
        wishes = SegmentRequest.model_validate(task.job.request)
        picture = accept_picture(task.inputs["image"])
        segmented = await self._segment.segment(picture, wishes.question(), labels=wishes.labels, top=wishes.top)
        answer = await asyncio.to_thread(segment_answer, "", segmented, wishes.mask_format)
        return Outcome(answer=answer.model_dump(mode="json", exclude={"request_id"}))
