"""Meta's names for SAM2's weights to transformers'. Knows names only; what is for films alone is left out."""

import re
from collections.abc import Mapping

import torch

_FOR_FILMS = (
    "maskmem_tpos_enc",
    "mask_downsample",
    "memory_",
    "no_mem_pos_enc",
    "no_obj_",
    "obj_ptr_",
)
# Applied in this order, each to the whole name.
_RENAMES = [
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^sam_prompt_encoder\.", "prompt_encoder."),
    (r"^sam_mask_decoder\.", "mask_decoder."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"pe_layer\.positional_encoding_gaussian_matrix$", "shared_embedding.positional_embedding"),
    (r"mask_downscaling\.0\.", "mask_embed.conv1."),
    (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."),
    (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (r"\.out_proj\.", ".o_proj."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    # Perceptrons of two layers, then of three: Meta counts layers, transformers names the outer ones.
    (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
    (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
    (r"(mlps\.\d+|_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(mlps\.\d+|_head)\.layers\.1\.", r"\1.layers.0."),
    (r"(mlps\.\d+|_head)\.layers\.2\.", r"\1.proj_out."),
]
_RULES = [(re.compile(pattern), replacement) for pattern, replacement in _RENAMES]
_POINT = re.compile(r"prompt_encoder\.point_embeddings\.\d+\.weight")
_PLACES = "shared_embedding.positional_embedding"


def to_transformers(meta: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    renamed = {_rename(name): tensor for name, tensor in meta.items() if not name.startswith(_FOR_FILMS)}
    # Meta keeps one embedding for each kind of point, transformers one table.
    kinds = sorted(name for name in renamed if _POINT.fullmatch(name))
    if kinds:
        renamed["prompt_encoder.point_embed.weight"] = torch.cat([renamed.pop(name) for name in kinds])
    # transformers has the places' encoding twice, for points and for the picture.
    if f"prompt_encoder.{_PLACES}" in renamed:
        places = renamed[f"prompt_encoder.{_PLACES}"]
        renamed[f"shared_image_{_PLACES.removeprefix('shared_')}"] = places.clone()
    return renamed


def _rename(name: str) -> str:
    for pattern, replacement in _RULES:
        name = pattern.sub(replacement, name)
    return name
