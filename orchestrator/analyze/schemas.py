"""Shapes of /analyze: one for a picture that is sent, one for a picture that is here already."""

from typing import Any

from pydantic import BaseModel

from orchestrator.analyze.service import Analysis
from orchestrator.pictures.schemas import (
    TOP_LABELS,
    AboutPicture,
    ClassScore,
    ClipAnalysis,
    LabelsField,
    Rings,
    Rle,
    TopField,
    Warnings,
    class_scores,
    clip_analysis,
    rings_of,
)


class AnalyzeRequest(AboutPicture):
    labels: LabelsField = None
    top: TopField = TOP_LABELS
    segment: bool = True


class BasicSegmentation(BaseModel):
    """`polygons` has the rings of each mask."""

    masks: list[Rle]
    polygons: list[Rings]


class NamedSegmentation(BaseModel):
    masks: list[str]  # region_0, region_1, ...
    polygons: list[Rings]


class SentPictureAnswer(BaseModel):
    request_id: str
    clip_analysis: ClipAnalysis
    clip_scores: list[ClassScore]
    basic_segmentation: BasicSegmentation
    warnings: Warnings


class KnownPictureAnswer(BaseModel):
    request_id: str
    clip_scores: list[ClassScore]
    segmentation: NamedSegmentation
    warnings: Warnings


def sent_picture_answer(request_id: str, analysis: Analysis) -> SentPictureAnswer:
    return SentPictureAnswer(
        request_id=request_id,
        clip_analysis=clip_analysis(analysis.concepts),
        clip_scores=class_scores(analysis.concepts),
        basic_segmentation=basic_segmentation(analysis),
        warnings=list(analysis.warnings),
    )


def seen_in(analysis: Analysis) -> dict[str, Any]:
    """The same as JSON, without the request's id: for answers that outlive their request."""
    return sent_picture_answer("", analysis).model_dump(mode="json", exclude={"request_id"})


def basic_segmentation(analysis: Analysis) -> BasicSegmentation:
    return BasicSegmentation(
        masks=[dict(region.mask) for region in analysis.regions],
        polygons=[rings_of(region.polygons) for region in analysis.regions],
    )


def known_picture_answer(request_id: str, analysis: Analysis) -> KnownPictureAnswer:
    return KnownPictureAnswer(
        request_id=request_id,
        clip_scores=class_scores(analysis.concepts),
        segmentation=NamedSegmentation(
            masks=[f"region_{number}" for number in range(len(analysis.regions))],
            polygons=[rings_of(region.polygons) for region in analysis.regions],
        ),
        warnings=list(analysis.warnings),
    )
