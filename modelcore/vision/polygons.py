"""Masks to polygons with holes, with no more corners than their outlines need. Traces and draws a batch at once."""

import numpy as np

from modelcore.vision.masks import Polygon, Ring
from modelcore.vision.outlines import trace
from modelcore.vision.rings import Rings, concatenate, overlaps, rasterise, simplified
from modelcore.vision.runs import Runs

TOLERANCE_PX = 1.0
# A polygon must still be its mask when it is drawn: one that shares less with it keeps its every corner.
LEAST_OVERLAP = 0.98


def polygons(runs: Runs, tolerance_px: float = TOLERANCE_PX) -> list[list[Polygon]]:
    """For each mask its islands. What is left out of an outline is at most `tolerance_px` away from what is drawn."""
    exact = trace(runs)
    if not tolerance_px:
        return _grouped(exact, runs.count)
    simple = simplified(exact, tolerance_px)
    drawn = rasterise(simple, runs.height, runs.width, runs.count)
    is_good = overlaps(runs, drawn) >= LEAST_OVERLAP
    return _grouped(concatenate(simple.select(is_good[simple.mask]), exact.select(~is_good[exact.mask])), runs.count)


def _grouped(rings: Rings, masks: int) -> list[list[Polygon]]:
    points: Ring = [(x, y) for x, y in rings.points.tolist()]
    ends = rings.first.tolist()
    found: list[dict[int, Polygon]] = [{} for _ in range(masks)]
    # Outer rings first: each opens a polygon, to which holes are added. An island too small to draw takes its holes.
    for ring in np.argsort(rings.is_hole, kind="stable").tolist():
        islands, island = found[rings.mask[ring]], int(rings.island[ring])
        corners = points[ends[ring] : ends[ring + 1]]
        if not rings.is_hole[ring]:
            islands[island] = [corners]
        elif island in islands:
            islands[island].append(corners)
    return [list(islands.values()) for islands in found]
