"""Which of many overlapping masks to keep: greedy suppression by boxes, and what a crop's edge has cut. Boxes only.

Boxes are Meta's here: left, top, right and bottom pixel, the last two included, so that a box of one pixel has no area.
"""

import numpy as np
from numpy.typing import NDArray

from modelcore.vision.runs import Indices

Boxes = NDArray[np.float32]  # (boxes, 4): x0, y0, x1, y1

# As close to a crop's edge as this, a mask may go on beyond it.
_NEAR_EDGE_PX = 20.0


def suppress(boxes: Boxes, scores: NDArray[np.float32], threshold: float) -> Indices:
    """Indices of those that no better one overlaps by more than the threshold, best first. As torchvision's nms."""
    left, top, right, bottom = boxes.T
    areas = (right - left) * (bottom - top)
    waiting = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        width = np.minimum(right[best], right[waiting]) - np.maximum(left[best], left[waiting])
        height = np.minimum(bottom[best], bottom[waiting]) - np.maximum(top[best], top[waiting])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        either = areas[best] + areas[waiting] - shared
        waiting = waiting[~(shared > threshold * either)]
    return np.array(kept, np.int64)


def is_cut_off(boxes: Boxes, crop: tuple[int, int, int, int], width: int, height: int) -> NDArray[np.bool_]:
    """Whether a mask touches the edge of its crop where that is not the picture's own. Boxes in the crop's pixels."""
    left, top, _, _ = crop
    placed = boxes + np.array([left, top, left, top], np.float32)
    near_crop = np.abs(placed - np.array(crop, np.float32)) <= _NEAR_EDGE_PX
    near_picture = np.abs(placed - np.array([0, 0, width, height], np.float32)) <= _NEAR_EDGE_PX
    return np.asarray((near_crop & ~near_picture).any(axis=1))
