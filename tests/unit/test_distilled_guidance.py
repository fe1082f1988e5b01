"""A consistency UNet (sd15-lcm's kind) is exported with its guidance, compared with diffusers' own pipeline."""

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.latent_consistency_models.pipeline_latent_consistency_text2img import (
    LatentConsistencyModelPipeline,
)

from export.diffusion.denoiser import DISTILLED_GUIDANCE_SCALE, Unet, guidance_embedding


def test_the_guidance_embedding_is_that_of_diffusers() -> None:
    for size in (6, 7, 256):
        wanted = LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, torch.tensor([7.5]), size)
        assert torch.allclose(guidance_embedding(7.5, size), wanted, atol=1e-3)  # sines of thousands, in float32


def test_a_distilled_unet_is_told_its_guidance() -> None:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=12,
        attention_head_dim=4,
        norm_num_groups=4,
        time_cond_proj_dim=16,
    ).eval()
    latents, timestep, text = torch.randn(2, 4, 8, 8), torch.tensor([[999.0], [1.0]]), torch.randn(2, 5, 12)
    told = guidance_embedding(DISTILLED_GUIDANCE_SCALE - 1, 16).expand(2, -1)
    with torch.inference_mode():
        wanted = unet(latents, timestep[:, 0], text, timestep_cond=told, return_dict=False)[0]
        untold = unet(latents, timestep[:, 0], text, return_dict=False)[0]
        got = Unet(unet)(latents, timestep, text)
    assert torch.equal(got, wanted)
    assert not torch.allclose(got, untold)
