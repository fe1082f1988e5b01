"""Painting as a job. Knows no HTTP."""

from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from orchestrator.analyze.schemas import seen_in
from orchestrator.generate.order import Order
from orchestrator.generate.painter import Painted, Painter, Step, warnings_of
from orchestrator.generate.schemas import GenerateRequest
from orchestrator.generate.service import Clock
from orchestrator.jobs.model import IsCancelled, Outcome, Progress, ReportProgress, Task
from orchestrator.pictures.picture import accept_picture


class GenerateHandler:
    def __init__(self, painter: Painter) -> None:
        self._painter = painter

    async def __call__(self, task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
        order = GenerateRequest.model_validate(task.job.request).order_with(task.inputs, is_streamed=True)
        return await painted_outcome(self._painter, order, report_progress)


async def painted_outcome(painter: Painter, order: Order, report_progress: ReportProgress) -> Outcome:
    """Of every job that paints. Whoever cancels it closes the painting, which then stops within a step."""
    clock = Clock()
    painted = await _paint(painter, order, report_progress)
    clock.stop("paint")
    look = await painter.look(order, painted)
    clock.stop("analyze")
    told = {"warnings": [*warnings_of(painted), *look.warnings], "timings_ms": clock.timings_ms()}
    answer = {"images": [_described(each) for each in painted], **seen_in(look.analysis), **told}
    return Outcome(tuple(await painter.new_pictures(order, painted)), answer)


async def _paint(painter: Painter, order: Order, report_progress: ReportProgress) -> list[Painted]:
    done: Counter[int] = Counter()
    painted: list[Painted] = []
    async with aclosing(painter.paint(order)) as painting:
        async for event in painting:
            if isinstance(event, Step):
                done[event.index] = event.step
                await report_progress(_progress(done, event, order.wishes))
            else:
                painted = event
    return painted


def _progress(done: Counter[int], step: Step, wishes: Mapping[str, Any]) -> Progress:
    """Of all pictures together, so that it only ever grows."""
    return Progress(done.total(), step.steps * int(wishes.get("num_images", 1)), step.preview)


def _described(painted: Painted) -> dict[str, Any]:
    picture = accept_picture(painted.image)
    return {"seed": painted.seed, "width": picture.width_px, "height": picture.height_px}
