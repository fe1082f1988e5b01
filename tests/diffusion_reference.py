"""What diffusers and transformers say, in the words of their own pipelines: nothing here comes from export.

A reference is given a family's folder; it makes inputs and answers them with what the pipeline would have used.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel, UNet2DConditionModel
from numpy.typing import NDArray
from transformers import CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel

from modelcore.family import Architecture
from tests.small_diffusion import CONTEXT, VOCABULARY

Arrays = dict[str, NDArray[np.float32]]
Given = dict[str, torch.Tensor]
Reference = Callable[[Path], tuple[Given, Arrays]]


def _clip_of_sd(source: Path) -> tuple[Given, Arrays]:
    """StableDiffusionPipeline.encode_prompt, without clip_skip and with 1."""
    clip = CLIPTextModel.from_pretrained(source / "text_encoder")
    ids = _token_ids()
    with torch.inference_mode():
        plain = clip(ids)[0]
        skipped = clip.final_layer_norm(clip(ids, output_hidden_states=True).hidden_states[-(1 + 1)])
    return {"input_ids": ids}, _arrays(last_hidden_state=plain, clip_skip_hidden_state=skipped)


def _clip_of_sdxl(source: Path) -> tuple[Given, Arrays]:
    """StableDiffusionXLPipeline.encode_prompt: nothing is read from the first encoder but hidden_states[-2]."""
    ids = _token_ids()
    with torch.inference_mode():
        answer = CLIPTextModel.from_pretrained(source / "text_encoder")(ids, output_hidden_states=True)
    return {"input_ids": ids}, _arrays(penultimate_hidden_state=answer.hidden_states[-2])


def _clip_with_projection(folder: str) -> Reference:
    """StableDiffusionXLPipeline and StableDiffusion3Pipeline: `prompt_embeds[0]` and hidden_states[-2]."""

    def reference(source: Path) -> tuple[Given, Arrays]:
        ids = _token_ids()
        with torch.inference_mode():
            answer = CLIPTextModelWithProjection.from_pretrained(source / folder)(ids, output_hidden_states=True)
        return {"input_ids": ids}, _arrays(penultimate_hidden_state=answer.hidden_states[-2], pooled=answer[0])

    return reference


def _t5(source: Path) -> tuple[Given, Arrays]:
    ids = torch.randint(1, VOCABULARY, (3, 19))
    with torch.inference_mode():
        last = T5EncoderModel.from_pretrained(source / "text_encoder_3")(ids)[0]
    return {"input_ids": ids}, _arrays(last_hidden_state=last)


def _unet(source: Path) -> tuple[Given, Arrays]:
    """Each row alone at its own step, as a pipeline runs it; odd sizes."""
    unet = UNet2DConditionModel.from_pretrained(source / "unet")
    given = _denoiser_inputs(4, 9, 7, unet.config.cross_attention_dim)
    return given, _row_by_row(
        given, lambda row: unet(row["latents"], row["timestep"][0, 0], row["encoder_hidden_states"]).sample
    )


def _unet_xl(source: Path) -> tuple[Given, Arrays]:
    unet = UNet2DConditionModel.from_pretrained(source / "unet")
    given = _denoiser_inputs(4, 9, 7, unet.config.cross_attention_dim)
    given["pooled"] = torch.randn(3, unet.config.projection_class_embeddings_input_dim - 6 * 8)
    given["time_ids"] = torch.tensor([[512.0, 512, 0, 0, 512, 512], [640, 480, 8, 0, 512, 512], [64, 64, 0, 0, 64, 64]])

    def alone(row: Given) -> torch.Tensor:
        added = {"text_embeds": row["pooled"], "time_ids": row["time_ids"]}
        answer = unet(row["latents"], row["timestep"][0, 0], row["encoder_hidden_states"], added_cond_kwargs=added)
        sample: torch.Tensor = answer.sample
        return sample

    return given, _row_by_row(given, alone)


def _transformer(source: Path) -> tuple[Given, Arrays]:
    transformer = SD3Transformer2DModel.from_pretrained(source / "transformer")
    given = _denoiser_inputs(16, 6, 10, transformer.config.joint_attention_dim)
    given["pooled"] = torch.randn(3, transformer.config.pooled_projection_dim)

    def alone(row: Given) -> torch.Tensor:
        text, pooled = row["encoder_hidden_states"], row["pooled"]
        sample: torch.Tensor = transformer(row["latents"], text, pooled, row["timestep"][0]).sample
        return sample

    return given, _row_by_row(given, alone)


def _vae_encoder(source: Path) -> tuple[Given, Arrays]:
    """As img2img prepares its latents: a sample of the posterior is mean + std * noise, then scaled and shifted."""
    vae = AutoencoderKL.from_pretrained(source / "vae")
    picture = torch.rand(2, 3, 18, 14) * 2 - 1
    with torch.inference_mode():
        posterior = vae.encode(picture).latent_dist
    mean = (posterior.mean - (vae.config.shift_factor or 0)) * vae.config.scaling_factor
    return {"picture": picture}, _arrays(latents_mean=mean, latents_deviation=posterior.std * vae.config.scaling_factor)


def _vae_decoder(source: Path) -> tuple[Given, Arrays]:
    """As every pipeline ends."""
    vae = AutoencoderKL.from_pretrained(source / "vae")
    latents = torch.randn(2, vae.config.latent_channels, 9, 7)
    with torch.inference_mode():
        picture = vae.decode(latents / vae.config.scaling_factor + (vae.config.shift_factor or 0)).sample
    return {"latents": latents}, _arrays(picture=picture)


def _token_ids() -> torch.Tensor:
    """Two prompts with the end mark at different places, and padded with it."""
    ids = torch.randint(0, VOCABULARY - 2, (2, CONTEXT))
    ids[0, 4:] = ids[1, 11:] = VOCABULARY - 1
    return ids


def _denoiser_inputs(channels: int, height: int, width: int, text_size: int) -> Given:
    return {
        "latents": torch.randn(3, channels, height, width),
        "timestep": torch.tensor([[981.0], [1.0], [500.5]]),
        "encoder_hidden_states": torch.randn(3, 11, text_size),
    }


def _row_by_row(given: Given, alone: Callable[[Given], torch.Tensor]) -> Arrays:
    with torch.inference_mode():
        rows = [alone({name: tensor[row : row + 1] for name, tensor in given.items()}) for row in range(3)]
    return _arrays(noise=torch.cat(rows))


def _arrays(**tensors: Any) -> Arrays:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


_AUTOENCODER: dict[str, Reference] = {"vae_encoder": _vae_encoder, "vae_decoder": _vae_decoder}
REFERENCES: Mapping[Architecture, Mapping[str, Reference]] = {
    "sd": {"text_encoder": _clip_of_sd, "unet": _unet, **_AUTOENCODER},
    "sdxl": {
        "text_encoder": _clip_of_sdxl,
        "text_encoder_2": _clip_with_projection("text_encoder_2"),
        "unet": _unet_xl,
        **_AUTOENCODER,
    },
    "sd3": {
        "text_encoder": _clip_with_projection("text_encoder"),
        "text_encoder_2": _clip_with_projection("text_encoder_2"),
        "text_encoder_3": _t5,
        "transformer": _transformer,
        **_AUTOENCODER,
    },
}
