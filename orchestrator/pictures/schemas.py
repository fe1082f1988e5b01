"""What the answers about pictures share: labels, scores as numbers and as the references write them, polygons."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from modelcore.text.label_sets import LABEL_SETS, MAX_LABELS_A_REQUEST
from modelcore.vision.masks import Polygon, Ring
from orchestrator.pictures.understanding import Concept
from orchestrator.schemas import StrictRequest

TOP_LABELS = 5

LabelsField = Annotated[
    str | list[str] | None,
    Field(
        description=f"What to look for: the name of a label set ({', '.join(sorted(LABEL_SETS))}) or a list of up to "
        f"{MAX_LABELS_A_REQUEST} texts. Without it, the family's own set."
    ),
]
TopField = Annotated[int, Field(ge=1, le=MAX_LABELS_A_REQUEST, description="How many of the best labels to tell.")]
Rings = Annotated[
    list[Ring],
    Field(description="Outlines, each a list of [x, y]. Outer ones turn clockwise on the screen, holes the other way."),
]
Warnings = Annotated[
    list[str], Field(description="Which words of the request were more than CLIP reads, and were cut.")
]
Rle = dict[str, Any]  # COCO's {"size": [height, width], "counts": "..."}


class AboutPicture(StrictRequest):
    """A request about a picture: the one that comes with it, the one that is named, or the caller's last one."""

    image_id: str | None = Field(None, description="A picture of yours. Without it, and without a file: your last one.")


class ClassScore(BaseModel):
    """`confidence` is for people, `score` the same from 0 to 1."""

    model_config = ConfigDict(serialize_by_alias=True)

    class_: str = Field(alias="class")
    confidence: str
    score: float


class ClipAnalysis(BaseModel):
    concepts: list[str]
    confidence_scores: dict[str, float]


def percent(share: float) -> str:
    """Two decimals, as the references write it. Less than nothing in common is nothing."""
    return f"{max(share, 0.0):.2%}"


def rings_of(polygons: list[Polygon]) -> list[Ring]:
    """All islands' in one list, as the references have it: filled by the even-odd rule they are the region."""
    return [ring for polygon in polygons for ring in polygon]


def class_scores(concepts: list[Concept]) -> list[ClassScore]:
    return [
        ClassScore.model_validate(
            {"class": concept.label, "confidence": percent(concept.confidence), "score": concept.confidence}
        )
        for concept in concepts
    ]


def clip_analysis(concepts: list[Concept]) -> ClipAnalysis:
    return ClipAnalysis(
        concepts=[concept.label for concept in concepts],
        confidence_scores={concept.label: concept.confidence for concept in concepts},
    )
