"""Visualizing as a job. Knows no HTTP.

What is drawn is megabytes, so the answer names it, and the job keeps it beside the answer.
"""

from typing import Any

from orchestrator.jobs.model import IsCancelled, Outcome, ReportProgress, Task
from orchestrator.pictures.parcels import parcel_of
from orchestrator.pictures.picture import accept_picture
from orchestrator.pictures.schemas import rings_of
from orchestrator.storage.shelf import Parcel
from orchestrator.visualize.schemas import VisualizeRequest
from orchestrator.visualize.service import Spotlight, Visualize, Visualized

_OVERLAY = "master_overlay"


class VisualizeHandler:
    def __init__(self, visualize: Visualize) -> None:
        self._visualize = visualize

    async def __call__(self, task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled) -> Outcome:
        wishes = VisualizeRequest.model_validate(task.job.request)
        picture = accept_picture(task.inputs["image"])
        seen = await self._visualize.visualize(picture, wishes.view(), labels=wishes.labels)
        return Outcome(answer=_answer(seen, f"/jobs/{task.job.id}/files/"), files=_files(seen))


def _files(seen: Visualized) -> dict[str, Parcel]:
    files = {_OVERLAY: seen.overlay}
    for each in seen.spotlights:
        files[_spotlight(each)] = each.image
        if each.cutout is not None:
            files[_cutout(each)] = each.cutout
    return {name: parcel_of(picture) for name, picture in files.items()}


def _answer(seen: Visualized, address: str) -> dict[str, Any]:
    return {
        "status": "success",
        "total_regions": seen.total_regions,
        "master_overlay_url": address + _OVERLAY,
        "individual_spotlights": [
            {
                "region_id": each.region_id,
                "top_class": each.top_class,
                "polygon": rings_of(each.polygons),
                "image_url": address + _spotlight(each),
                "cutout_url": None if each.cutout is None else address + _cutout(each),
            }
            for each in seen.spotlights
        ],
        "warnings": list(seen.warnings),
    }


def _spotlight(each: Spotlight) -> str:
    return f"spotlight_{each.region_id}"


def _cutout(each: Spotlight) -> str:
    return f"cutout_{each.region_id}"
