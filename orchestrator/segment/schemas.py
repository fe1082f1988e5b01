"""Shapes of /segment. Without points and boxes it finds everything; the thresholds for that bear Meta's names."""

import base64
from io import BytesIO
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema, model_validator

from modelcore.contract import DataType
from modelcore.sam2_models import SEGMENT
from modelcore.vision.automatic_parameters import PARAMETERS, AutomaticParameters
from modelcore.vision.masks import Region
from modelcore.vision.rle import decode
from modelcore.vision.segment_answer import tolerance_of
from orchestrator.pictures.regions import Question
from orchestrator.pictures.schemas import (
    TOP_LABELS,
    AboutPicture,
    ClassScore,
    LabelsField,
    Rings,
    Rle,
    TopField,
    Warnings,
    class_scores,
    rings_of,
)
from orchestrator.segment.prompts import are_click_labels, list_of_things, prompt_arrays
from orchestrator.segment.service import NamedRegion, Segmented

MaskFormat = Literal["rle", "png", "polygon"]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]
Point = Annotated[list[Coordinate], Field(min_length=2, max_length=2)]
Box = Annotated[list[Coordinate], Field(min_length=4, max_length=4)]
PointLabel = Annotated[int, Field(ge=0, le=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]


_NUMBERS = {"type": "array", "items": {"type": "number"}}
_POINTS = {"type": "array", "items": _NUMBERS | {"minItems": 2, "maxItems": 2}}
_BOX = _NUMBERS | {"minItems": 4, "maxItems": 4}
_CLICK_LABELS = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 1}}
_WORDS = ({"type": "string"}, {"type": "array", "items": {"type": "string"}})
_LABELS = {"anyOf": [*_WORDS, _CLICK_LABELS, {"type": "array", "items": _CLICK_LABELS}, {"type": "null"}]}


def _of_things(of_one: dict[str, Any], depth: int) -> tuple[BeforeValidator, WithJsonSchema]:
    """A list of what is said of one thing, or that alone."""
    schema = {"anyOf": [{"type": "array", "items": of_one}, of_one]}
    return BeforeValidator(lambda value: list_of_things(value, depth)), WithJsonSchema(schema)


Points = Annotated[list[list[Point]], *_of_things(_POINTS, 3)]
PointLabels = Annotated[list[list[PointLabel]], *_of_things(_CLICK_LABELS, 2)]
Boxes = Annotated[list[Box], *_of_things(_BOX, 2)]


class SegmentRequest(AboutPicture):
    """A list of points for each thing that is pointed at; two things in one request are two lists."""

    points: Points | None = Field(
        None,
        description="[x, y] in the picture's pixels: a list for each thing; for one thing, its list alone.",
    )
    point_labels: PointLabels | None = Field(
        None,
        description="1 on the thing, 0 beside it; one for each point, and in lists as they are. Without it, all are on "
        "the thing. Taken from `labels`, too, where numbers are there.",
    )
    boxes: Boxes | None = Field(None, description="[x0, y0, x1, y1] around each thing; for one thing, its own alone.")
    multimask: bool | None = Field(None, description="Three masks for each thing instead of one.")
    polygon_tolerance: Number | None = Field(None, description="Pixels by which a polygon may leave its outline.")
    points_per_side: int | None = None
    points_per_batch: int | None = None
    pred_iou_thresh: Number | None = None
    stability_score_thresh: Number | None = None
    stability_score_offset: Number | None = None
    mask_threshold: Number | None = None
    box_nms_thresh: Number | None = None
    crop_n_layers: int | None = None
    crop_nms_thresh: Number | None = None
    crop_overlap_ratio: Number | None = None
    crop_n_points_downscale_factor: int | None = None
    min_mask_region_area: int | None = None
    labels: Annotated[LabelsField, WithJsonSchema(_LABELS)] = None
    top: TopField = TOP_LABELS
    mask_format: MaskFormat = Field("rle", description="COCO's run lengths, a PNG, or the polygons alone.")

    @model_validator(mode="before")
    @classmethod
    def _take_click_labels(cls, fields: Any) -> Any:
        """Elsewhere in this API labels are words, in SAM's they are numbers: each can be told from the other."""
        if isinstance(fields, dict) and "point_labels" not in fields and are_click_labels(fields.get("labels")):
            return {name: value for name, value in fields.items() if name != "labels"} | {
                "point_labels": fields["labels"]
            }
        return fields

    def question(self) -> Question:
        """Refuses what `segment` would refuse whatever the picture; the bounds are its own."""
        given = {name: value for name in PARAMETERS if (value := getattr(self, name)) is not None}
        AutomaticParameters(**given)
        numbers = given | {name: value for name in _OTHERS if (value := getattr(self, name)) is not None}
        with np.errstate(over="ignore"):  # infinity lies in no picture and within no bounds, as little as 1e80 does
            scalars = {name: np.array([value], _TYPES[name]) for name, value in numbers.items()}
            tolerance_of(scalars)
            return Question(prompt_arrays(self.points, self.point_labels, self.boxes) | scalars)


_OTHERS = ("multimask", "polygon_tolerance")
_NUMPY: dict[DataType, type[np.generic]] = {
    DataType.BOOL: np.bool_,
    DataType.FP32: np.float32,
    DataType.INT32: np.int32,
}
_TYPES = {tensor.name: _NUMPY[tensor.data_type] for tensor in SEGMENT.inputs if tensor.name in {*PARAMETERS, *_OTHERS}}


class SegmentedRegion(BaseModel):
    region_id: int
    sam_confidence: str
    predicted_iou: float
    stability_score: float
    clip_analysis: list[ClassScore]
    polygon: Rings
    box: tuple[int, int, int, int]
    area: int
    prompt: int | None
    mask: Rle | str | None


class SegmentAnswer(BaseModel):
    request_id: str
    segmented_regions: list[SegmentedRegion]
    warnings: Warnings


def segment_answer(request_id: str, segmented: Segmented, mask_format: MaskFormat) -> SegmentAnswer:
    """With PNG masks it draws: then it belongs in a thread."""
    return SegmentAnswer(
        request_id=request_id,
        segmented_regions=[_segmented(named, mask_format) for named in segmented.regions],
        warnings=list(segmented.warnings),
    )


def _segmented(named: NamedRegion, mask_format: MaskFormat) -> SegmentedRegion:
    region = named.region
    return SegmentedRegion(
        region_id=named.region_id,
        sam_confidence=f"{region.predicted_iou:.2f}",
        predicted_iou=region.predicted_iou,
        stability_score=region.stability_score,
        clip_analysis=class_scores(named.concepts),
        polygon=rings_of(region.polygons),
        box=region.box,
        area=region.area,
        prompt=region.prompt,
        mask=_mask(region, mask_format),
    )


def _mask(region: Region, mask_format: MaskFormat) -> Rle | str | None:
    if mask_format == "rle":
        return dict(region.mask)
    return _png(region) if mask_format == "png" else None


def _png(region: Region) -> str:
    buffer = BytesIO()
    Image.fromarray(decode(region.mask)).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
