"""Small random Stable Diffusion families on disk, in the hub's own layout: seeded, right in shape and class only.

Every class is the real one, written with its own save_pretrained; only the sizes are tiny.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

CONTEXT = 16
VOCABULARY = 99
PICTURE_FACTOR = 2  # pixels per latent
MAX_LATENT_SIDE_OF_SD3 = 24

# By architecture: the width of what cross-attention reads.
_CLIP_SIZE, _BIG_CLIP_SIZE, _T5_SIZE, _PROJECTION = 24, 32, 64, 20


def write_random_family(folder: Path, architecture: str, *, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    parts = {"sd": _sd, "sdxl": _sdxl, "sd3": _sd3}[architecture]()
    for name, part in parts.items():
        part.eval().save_pretrained(folder / name)
    return folder


def _sd() -> dict[str, Any]:
    return {
        "text_encoder": CLIPTextModel(_clip_config(_CLIP_SIZE)),
        "unet": _unet(3, cross_attention_dim=_CLIP_SIZE),
        "vae": _vae(4, scaling_factor=0.18215),
    }


def _sdxl() -> dict[str, Any]:
    added = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": _PROJECTION + 6 * 8,
        "use_linear_projection": True,
    }
    return {
        "text_encoder": CLIPTextModel(_clip_config(_CLIP_SIZE)),
        "text_encoder_2": CLIPTextModelWithProjection(_clip_config(_BIG_CLIP_SIZE)),
        "unet": _unet(2, cross_attention_dim=_CLIP_SIZE + _BIG_CLIP_SIZE, **added),
        "vae": _vae(4, scaling_factor=0.13025),
    }


def _sd3() -> dict[str, Any]:
    return {
        "text_encoder": CLIPTextModelWithProjection(_clip_config(_CLIP_SIZE)),
        "text_encoder_2": CLIPTextModelWithProjection(_clip_config(_BIG_CLIP_SIZE)),
        "text_encoder_3": T5EncoderModel(_t5_config()),
        "transformer": _transformer(),
        "vae": _vae(16, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
    }


def _clip_config(size: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=size,
        intermediate_size=2 * size,
        num_hidden_layers=3,
        num_attention_heads=2,
        vocab_size=VOCABULARY,
        max_position_embeddings=CONTEXT,
        projection_dim=_PROJECTION,
        bos_token_id=VOCABULARY - 2,
        eos_token_id=VOCABULARY - 1,
        pad_token_id=VOCABULARY - 1,
    )


def _t5_config() -> T5Config:
    return T5Config(
        d_model=_T5_SIZE,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        vocab_size=VOCABULARY,
        feed_forward_proj="gated-gelu",
    )


def _unet(levels: int, **config: Any) -> UNet2DConditionModel:
    """With three levels, the skip connections of odd latents must fit twice on the way up."""
    return UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 16, 16)[:levels],
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D")[:levels],
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")[-levels:],
        attention_head_dim=2,
        norm_num_groups=4,
        **config,
    )


def _vae(channels: int, **config: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=32,
        **config,
    )


def _transformer() -> SD3Transformer2DModel:
    return SD3Transformer2DModel(
        sample_size=8,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=_T5_SIZE,
        caption_projection_dim=16,
        pooled_projection_dim=2 * _PROJECTION,
        pos_embed_max_size=MAX_LATENT_SIDE_OF_SD3 // 2,
        dual_attention_layers=(0,),  # as sd3.5 medium
        qk_norm="rms_norm",
    )
