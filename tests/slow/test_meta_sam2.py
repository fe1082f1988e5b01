"""Meta's own package and the folder converted from its checkpoint give the same numbers.

Needs the package, which `make test` installs aside (tools/reference.txt).
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from export.sam2.convert import convert
from export.sam2.encoder import Encoder
from export.sam2.proof import split_answer, split_error
from export.sam2.source import load_sam2
from tests.meta_generator import import_reference

# hydra, which Meta's package reads its own configuration with, warns of its own ways.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

POINTS = torch.tensor([[[100.0, 200.0], [700.0, 300.0]], [[500.0, 400.0], [900.0, 650.0]]])
LABELS = torch.tensor([[1, 0], [2, 3]])  # two points; a box


@pytest.mark.parametrize("size", ["t", "s", "b+", "l"])
@torch.inference_mode()
def test_metas_numbers_survive_the_conversion(tmp_path: Path, size: str) -> None:
    build_sam = import_reference("sam2.build_sam")
    torch.manual_seed(0)
    meta = build_sam.build_sam2(f"configs/sam2.1/sam2.1_hiera_{size}.yaml", ckpt_path=None, device="cpu")
    _spread(meta)
    torch.save({"model": meta.state_dict()}, tmp_path / "meta.pt")
    convert(tmp_path / "meta.pt", tmp_path / "converted")
    ours = load_sam2(tmp_path / "converted")

    pixels, earlier = torch.randn(1, 3, 1024, 1024), 8 * torch.randn(2, 1, 256, 256)
    fine, middle, embedding = _meta_features(meta, pixels)
    features = Encoder(ours)(pixels)
    for got, wanted in zip(features, (embedding, fine, middle), strict=True):
        assert split_error(got, wanted) < 1e-5
    for masks in (None, earlier):
        answer = split_answer(ours, (embedding, fine, middle), POINTS, LABELS, masks)
        for got, wanted in zip(answer, _meta_answer(meta, (embedding, fine, middle), masks), strict=True):
            assert split_error(got, wanted) < 2e-6


def _spread(meta: Any) -> None:
    """Away from zero, where a mistake could not be seen."""
    trunk = meta.image_encoder.trunk
    for parameter in (meta.no_mem_embed, trunk.pos_embed, trunk.pos_embed_window):
        torch.nn.init.normal_(parameter)


def _meta_features(meta: Any, pixels: torch.Tensor) -> list[torch.Tensor]:
    """As Meta's SAM2ImagePredictor makes them: fine, middle and coarse."""
    _, levels, _, sizes = meta._prepare_backbone_features(meta.forward_image(pixels))
    levels[-1] = levels[-1] + meta.no_mem_embed
    return [level.permute(1, 2, 0).reshape(1, -1, *size) for level, size in zip(levels, sizes, strict=True)]


def _meta_answer(meta: Any, features: tuple[torch.Tensor, ...], masks: torch.Tensor | None) -> tuple[Any, ...]:
    embedding, fine, middle = features
    sparse, dense = meta.sam_prompt_encoder(points=(POINTS, LABELS), boxes=None, masks=masks)
    logits, iou_scores, _, object_scores = meta.sam_mask_decoder.predict_masks(
        image_embeddings=embedding,
        image_pe=meta.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        repeat_image=True,
        high_res_features=[fine, middle],
    )
    return logits, iou_scores, object_scores
