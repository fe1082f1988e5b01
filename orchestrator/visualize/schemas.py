"""Shapes of /visualize. Pictures travel as base64."""

import base64
from typing import Literal

from pydantic import BaseModel, Field

from orchestrator.pictures.schemas import AboutPicture, LabelsField, Rings, Warnings, rings_of
from orchestrator.visualize.drawing import Format
from orchestrator.visualize.service import View, Visualized


class VisualizeRequest(AboutPicture):
    labels: LabelsField = None
    longest_px: int = Field(default=1024, ge=64, le=2048, description="The longer side of what is drawn, at most.")
    spotlights: int = Field(default=64, ge=0, le=256, description="For how many regions a picture of their own.")
    cutouts: bool = Field(default=False, description="Each of these regions alone too, on nothing.")

    format: Format = Field(default="png", description="Of overlay and spotlights; jpeg is a tenth of png's size.")

    def view(self) -> View:
        return View(self.longest_px, self.spotlights, self.cutouts, self.format)


class IndividualSpotlight(BaseModel):
    region_id: int
    top_class: str
    polygon: Rings
    image: str
    cutout: str | None


class VisualizeAnswer(BaseModel):
    status: Literal["success"] = "success"
    total_regions: int
    master_overlay: str
    individual_spotlights: list[IndividualSpotlight]
    warnings: Warnings


def visualize_answer(visualized: Visualized) -> VisualizeAnswer:
    return VisualizeAnswer(
        total_regions=visualized.total_regions,
        master_overlay=_base64(visualized.overlay),
        individual_spotlights=[
            IndividualSpotlight(
                region_id=each.region_id,
                top_class=each.top_class,
                polygon=rings_of(each.polygons),
                image=_base64(each.image),
                cutout=None if each.cutout is None else _base64(each.cutout),
            )
            for each in visualized.spotlights
        ],
        warnings=list(visualized.warnings),
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
