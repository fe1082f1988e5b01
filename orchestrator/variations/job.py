"""Varying as a job. Knows no HTTP.

What is to be painted was settled when it was accepted, but for the words of a picture that has none: those CLIP finds.
"""

from dataclasses import replace

from orchestrator.analyze.service import Analyze
from orchestrator.gallery.pictures import Parent
from orchestrator.generate.job import painted_outcome
from orchestrator.generate.order import Order
from orchestrator.generate.painter import Painter
from orchestrator.jobs.model import SETTLED, IsCancelled, Outcome, ReportProgress, Task
from orchestrator.variations.schemas import VariationsRequest
from orchestrator.variations.service import worded


class VariationsHandler:
    def __init__(self, painter: Painter, analyze: Analyze) -> None:
        self._painter = painter
        self._analyze = analyze

    async def __call__(self, task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
        wishes = VariationsRequest.model_validate(task.job.asked)
        parent = None if wishes.image_id is None else Parent(wishes.image_id, "variation_of")
        planned = Order({**task.job.request[SETTLED], **task.inputs}, parent=parent)
        order = wishes.looked_at(await worded(planned, self._analyze))
        outcome = await painted_outcome(self._painter, order, report_progress)
        return replace(outcome, answer={**outcome.answer, "parent_id": wishes.image_id, "prompt": order.prompt})
