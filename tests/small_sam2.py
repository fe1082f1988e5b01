"""A small random SAM2 on disk, in the hub's own layout: seeded, right in shape and class only."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import Sam2Config, Sam2Model, Sam2VideoConfig, Sam2VideoModel

from export.network import export_network
from export.sam2 import BUILDERS
from modelcore.pbtxt import render
from modelcore.sam2_models import SAM2_MODELS

PATCH_STRIDE_PX = 2
HIDDEN = 32


def small_parts(side_px: int = 64) -> dict[str, Any]:
    """The sub-configurations that Sam2Config and Sam2VideoConfig share."""
    map_px = side_px // PATCH_STRIDE_PX
    widths = [8, 16, 32, 64]
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": widths[0],
        "image_size": [side_px, side_px],
        "patch_stride": [PATCH_STRIDE_PX, PATCH_STRIDE_PX],
        "window_positional_embedding_background_size": [4, 4],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 4, 8, 4],
        "global_attention_blocks": [3],
    }
    vision = {
        "backbone_config": backbone,
        "backbone_channel_list": widths[::-1],
        "backbone_feature_sizes": [[map_px // scale] * 2 for scale in (1, 2, 4)],
        "fpn_hidden_size": HIDDEN,
    }
    prompt = {"hidden_size": HIDDEN, "image_size": side_px, "patch_size": 4 * PATCH_STRIDE_PX}
    decoder = {"hidden_size": HIDDEN, "mlp_dim": 64, "num_attention_heads": 4, "iou_head_hidden_dim": HIDDEN}
    return {"vision_config": vision, "prompt_encoder_config": prompt, "mask_decoder_config": decoder}


def write_random_sam2(folder: Path, *, seed: int = 0, side_px: int = 64) -> Path:
    random_sam2(Sam2Config(**small_parts(side_px)), seed).save_pretrained(folder)
    return folder


def write_random_video_sam2(folder: Path, *, seed: int = 0) -> Path:
    """As Meta's folders on the hub are: the weights for films beside those for pictures."""
    memory = {"image_size": 64, "memory_attention_hidden_size": HIDDEN, "memory_encoder_hidden_size": HIDDEN}
    torch.manual_seed(seed)
    Sam2VideoModel(Sam2VideoConfig(**small_parts(), **memory)).save_pretrained(folder)
    return folder


def random_sam2(config: Sam2Config, seed: int = 0) -> Sam2Model:
    """With torch's own initialisation: transformers' is so small that attention hardly looks anywhere."""
    torch.manual_seed(seed)
    model = Sam2Model(config).eval()
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
            module.reset_parameters()
    backbone = model.vision_encoder.backbone
    for parameter in (model.no_memory_embedding, backbone.pos_embed, backbone.pos_embed_window):
        nn.init.normal_(parameter)  # they start at zero, where a mistake with them could not be seen
    places = model.shared_image_embedding.positional_embedding
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(places)  # transformers draws two
    return model


def exported_sam2(temporary: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The small SAM2's folder and a model repository made of it: once for all test files of a run."""
    base = temporary.getbasetemp()
    source, repository = base / "small_sam2", base / "small_sam2_repository"
    if not repository.exists():
        write_random_sam2(source)
        for model in SAM2_MODELS:
            (repository / model.name / "1").mkdir(parents=True)
            (repository / model.name / "config.pbtxt").write_text(render(model))
            export_network(model.name, BUILDERS[model.name](source), repository / model.name / "1" / "model.onnx")
    return source, repository
