"""A region found in a picture, and the JSON in which it crosses from Triton to whoever asked. Knows no network."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

Ring = list[tuple[float, float]]
"""Corners in the picture's pixels, the first not repeated: (0, 0) is the top left corner of the top left pixel."""

Polygon = list[Ring]
"""The outer ring first, then the rings of its holes, as in GeoJSON. A hole turns the other way than its outer ring."""


class Rle(TypedDict):
    """COCO's compressed run lengths, as pycocotools reads and writes them."""

    size: list[int]  # height, width
    counts: str


@dataclass(frozen=True)
class Region:
    """All of it in the picture's own pixels."""

    mask: Rle
    polygons: list[Polygon]  # one for each island
    box: tuple[int, int, int, int]  # left, top, width, height
    area: int  # pixels of the mask
    predicted_iou: float  # the network's own opinion of this mask
    stability_score: float  # how little the mask depends on where its edge is drawn, 0 to 1
    point: tuple[float, float] | None  # the click that found it; none where clicks were given, or a box
    prompt: int | None = None  # which of the request's prompts it answers; none for automatic masks


def to_json(region: Region) -> dict[str, Any]:
    return asdict(region)


def from_json(document: Mapping[str, Any]) -> Region:
    """Of what `to_json` wrote, after a trip through JSON, where tuples become lists."""
    point = document["point"]
    return Region(
        mask=Rle(size=document["mask"]["size"], counts=document["mask"]["counts"]),
        polygons=[[[(x, y) for x, y in ring] for ring in polygon] for polygon in document["polygons"]],
        box=tuple(document["box"]),
        area=document["area"],
        predicted_iou=document["predicted_iou"],
        stability_score=document["stability_score"],
        point=None if point is None else (point[0], point[1]),
        prompt=document["prompt"],
    )
