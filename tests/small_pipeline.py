"""A small random family that is whole, from family.toml to scheduler: it paints, though nothing anybody would hang up.

The tokenizer and the VAE are the demo family's own; UNet and text encoder are seeded noise of the same sizes.
"""

import shutil
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

DEMO = Path(__file__).parents[1] / "families" / "demo"
_WIDTH = 24
_FAMILY = """
name = "{name}"
about = "Random numbers, for tests."
licence = "Apache-2.0"
architecture = "sd"

[defaults]
steps = 8
guidance_scale = 3.0
width = 128
height = 128
scheduler = "ddim"

[limits]
width = [64, 256]
height = [64, 256]
steps_max = 100
pictures_max = 4

[parts.diffusion]
folder = "."
"""


def write_small_family(folder: Path, *, seed: int = 0) -> Path:
    """The family has its folder's name."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    (folder / "family.toml").write_text(_FAMILY.format(name=folder.name))
    for part in ("tokenizer", "vae"):
        shutil.copytree(DEMO / part, folder / part)
    tokenizer = CLIPTokenizer.from_pretrained(DEMO / "tokenizer")
    _text_encoder(tokenizer).eval().save_pretrained(folder / "text_encoder")
    _unet().eval().save_pretrained(folder / "unet")
    DDIMScheduler(
        beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, prediction_type="epsilon"
    ).save_pretrained(folder / "scheduler")
    return folder


def _text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=len(tokenizer),
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        norm_num_groups=8,
        cross_attention_dim=_WIDTH,
    )
