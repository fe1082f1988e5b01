"""Meta's own SAM2AutomaticMaskGenerator and picture transform, on the weights of a folder in the hub's layout.

Of the package `sam2` only code is used, all that comes before and after the networks; `make test` installs it aside
(tools/reference.txt). Its networks cannot hold the demo family's small sizes, so transformers' Sam2Model stands in for
them, which that test shows to be equal. torchvision, which has no build for a CPU's torch, is replaced by the five of
its functions that Meta calls, each in its published arithmetic.

    python -m tests.meta_generator    # writes tests/unit/meta_automatic_masks.json anew, for where the package is not
"""

import json
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Sam2Model

from export.sam2.source import load_sam2
from training.world import World

GOLDEN = Path(__file__).parent / "unit" / "meta_automatic_masks.json"
GOLDEN_WORLD = World("held_out", 3, counts=(3,))
GOLDEN_SCENES = 2
GOLDEN_PARAMETERS = {"points_per_side": 12, "stability_score_thresh": 0.8}
_REFERENCES = Path(sys.prefix) / "reference"  # tools/reference.txt
_DEMO = Path(__file__).parents[1] / "families" / "demo" / "sam2"


class _Resize(nn.Module):
    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.height, self.width = size

    def forward(self, picture: Tensor) -> Tensor:
        size = [self.height, self.width]
        return functional.interpolate(picture[None], size, mode="bilinear", align_corners=False, antialias=True)[0]


class _Normalize(nn.Module):
    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.mean, self.std = (nn.Buffer(torch.tensor(values)[:, None, None]) for values in (mean, std))

    def forward(self, picture: Tensor) -> Tensor:
        return (picture - self.mean) / self.std


class _ToTensor:
    def __call__(self, pixels: Any) -> Tensor:
        return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255


def _box_area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    """Of one group, as Meta calls it: a loop over pairs, the best first."""
    assert not groups.any()
    areas = _box_area(boxes)
    kept: list[int] = []
    for index in torch.argsort(scores, descending=True, stable=True).tolist():
        corners = [torch.maximum(boxes[index, :2], boxes[other, :2]) for other in kept]
        far = [torch.minimum(boxes[index, 2:], boxes[other, 2:]) for other in kept]
        shared = [(b - a).clamp(min=0).prod() for a, b in zip(corners, far, strict=True)]
        ious = [s / (areas[index] + areas[other] - s) for s, other in zip(shared, kept, strict=True)]
        if not any(iou > iou_threshold for iou in ious):
            kept.append(index)
    return torch.tensor(kept, dtype=torch.long)


def _install_stand_in() -> None:
    transforms = types.ModuleType("torchvision.transforms")
    transforms.Resize, transforms.Normalize, transforms.ToTensor = _Resize, _Normalize, _ToTensor  # type: ignore[attr-defined]
    boxes = types.ModuleType("torchvision.ops.boxes")
    boxes.batched_nms, boxes.box_area = _batched_nms, _box_area  # type: ignore[attr-defined]
    names = {"torchvision": types.ModuleType("torchvision"), "torchvision.ops": types.ModuleType("torchvision.ops")}
    sys.modules.update({**names, "torchvision.ops.boxes": boxes, "torchvision.transforms": transforms})


def import_reference(name: str) -> Any:
    """A module of Meta's. Its folder comes last in the path: it holds a top-level `training`, as ours is called."""
    if str(_REFERENCES) not in sys.path:
        sys.path.append(str(_REFERENCES))
    return pytest.importorskip(name, reason="Meta's package sam2 is not installed")


def _meta_modules() -> tuple[Any, Any]:
    import_reference("sam2")
    before = {name: sys.modules.get(name) for name in ("torchvision", "torchvision.ops", "torchvision.ops.boxes")}
    _install_stand_in()
    try:
        from sam2 import automatic_mask_generator
        from sam2.utils import transforms
    finally:
        # Others look whether there is a torchvision, and must not find ours.
        for name in (*before, "torchvision.transforms"):
            del sys.modules[name]
    return automatic_mask_generator, transforms


def meta_transforms(side_px: int) -> Any:
    return _meta_modules()[1].SAM2Transforms(resolution=side_px, mask_threshold=0.0)


class _Predictor:
    """What the generator uses of Meta's SAM2ImagePredictor."""

    device = "cpu"

    def __init__(self, model: Sam2Model, transforms: Any) -> None:
        self._model, self._transforms = model, transforms

    def set_image(self, pixels: Any) -> None:
        self._size = pixels.shape[:2]
        with torch.inference_mode():
            self._seen = self._model.get_image_embeddings(self._transforms(pixels)[None])

    def reset_predictor(self) -> None:
        self._seen = []

    def _predict(
        self, points: Tensor, labels: Tensor, multimask_output: bool, return_logits: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.inference_mode():
            answer = self._model(
                image_embeddings=self._seen,
                input_points=points[None],
                input_labels=labels[None],
                multimask_output=multimask_output,
            )
        low = answer.pred_masks[0]
        return self._transforms.postprocess_masks(low, self._size), answer.iou_scores[0], low


def meta_generator(folder: Path, **parameters: Any) -> Any:
    """`generate(pixels)` of what this gives are Meta's annotations, with COCO run lengths."""
    module, _ = _meta_modules()
    model = load_sam2(folder)
    module.SAM2ImagePredictor = lambda *_, **__: _Predictor(
        model, meta_transforms(model.prompt_encoder.input_image_size)
    )
    return module.SAM2AutomaticMaskGenerator(model, output_mode="coco_rle", **parameters)


def write_golden() -> None:
    warnings.simplefilter("ignore")
    generator = meta_generator(_DEMO, **GOLDEN_PARAMETERS)
    scenes = [generator.generate(sample.drawing.pixels) for sample in GOLDEN_WORLD.samples(GOLDEN_SCENES)]
    GOLDEN.write_text(json.dumps(scenes, indent=1) + "\n")


if __name__ == "__main__":
    write_golden()
