"""A Stable Diffusion family's networks as served models: `<family>_unet` and the others.

Sizes that differ between families of one architecture are -1, so that one configuration fits all of them. Latents are
everywhere the denoiser's own: the graphs of the autoencoder hold the family's scaling.
"""

from modelcore.contract import (
    Architecture,
    DataType,
    DynamicBatching,
    GpuProfile,
    InstanceGroup,
    ServedModel,
    Tensor,
)

TEXT_MAX_BATCH = 32
DENOISERS = frozenset({"unet", "transformer"})
DENOISER_MAX_BATCH = 32  # 16 pictures with guidance, which take two rows each
AUTOENCODER_MAX_BATCH = 8  # a row's activations are the largest of all the networks

_LATENT_CHANNELS: dict[Architecture, int] = {"sd": 4, "sdxl": 4, "sd3": 16}

_INPUT_IDS = Tensor("input_ids", DataType.INT64, (-1,), "token ids, padded as the family's tokenizer does")
_LAST = Tensor("last_hidden_state", DataType.FP32, (-1, -1), "per token")
_CLIP_SKIP = Tensor(
    "clip_skip_hidden_state", DataType.FP32, (-1, -1), "per token: the last layer left out, the final norm kept"
)
_LAST_BUT_ONE = Tensor("penultimate_hidden_state", DataType.FP32, (-1, -1), "per token, before the last layer")
_POOLED = Tensor("pooled", DataType.FP32, (-1,), "the text as one vector")
_TIMESTEP = Tensor("timestep", DataType.FP32, (1,), "each row its own, so that pictures at any step share a call")
_TEXT = Tensor("encoder_hidden_states", DataType.FP32, (-1, -1), "the text, per token")
_TIME_IDS = Tensor(
    "time_ids", DataType.FP32, (6,), "height and width of the original, top and left of its crop, wanted size"
)
_PICTURE = Tensor("picture", DataType.FP32, (3, -1, -1), "RGB, -1 to 1; the decoder may overshoot a little")


def diffusion_models(family: str, architecture: Architecture) -> tuple[ServedModel, ...]:
    """Everything that serving a family of this architecture takes."""
    networks = (*_TEXT_ENCODERS[architecture], _denoiser(architecture), *_autoencoder(architecture))
    return tuple(_served(family, *network) for network in networks)


_Network = tuple[str, str, tuple[Tensor, ...], tuple[Tensor, ...], int]  # suffix, about, inputs, outputs, max batch


def _text_encoder(suffix: str, about: str, *outputs: Tensor) -> _Network:
    return suffix, about, (_INPUT_IDS,), outputs, TEXT_MAX_BATCH


_TEXT_ENCODERS: dict[Architecture, tuple[_Network, ...]] = {
    "sd": (_text_encoder("text_encoder", "CLIP-L's text encoder.", _LAST, _CLIP_SKIP),),
    "sdxl": (
        _text_encoder("text_encoder", "CLIP-L's text encoder.", _LAST_BUT_ONE),
        _text_encoder("text_encoder_2", "CLIP-bigG's text encoder, with projection.", _LAST_BUT_ONE, _POOLED),
    ),
    "sd3": (
        _text_encoder("text_encoder", "CLIP-L's text encoder, with projection.", _LAST_BUT_ONE, _POOLED),
        _text_encoder("text_encoder_2", "CLIP-bigG's text encoder, with projection.", _LAST_BUT_ONE, _POOLED),
        _text_encoder("text_encoder_3", "T5's encoder.", _LAST),
    ),
}


def _denoiser(architecture: Architecture) -> _Network:
    latents, noise = _latents(architecture, "latents"), _latents(architecture, "noise")
    common = (latents, _TIMESTEP, _TEXT)
    if architecture == "sd":
        return "unet", "Predicts the noise in latents.", common, (noise,), DENOISER_MAX_BATCH
    if architecture == "sdxl":
        inputs = (*common, _POOLED, _TIME_IDS)
        return "unet", "Predicts the noise in latents.", inputs, (noise,), DENOISER_MAX_BATCH
    about = "Predicts the flow of latents, whose sides must be even."
    return "transformer", about, (*common, _POOLED), (noise,), DENOISER_MAX_BATCH


def _autoencoder(architecture: Architecture) -> tuple[_Network, _Network]:
    mean = _latents(architecture, "latents_mean")
    deviation = _latents(architecture, "latents_deviation")
    encodes = "Picture to latents: mean + deviation * noise, the noise being the caller's."
    return (
        ("vae_encoder", encodes, (_PICTURE,), (mean, deviation), AUTOENCODER_MAX_BATCH),
        (
            "vae_decoder",
            "Latents to picture.",
            (_latents(architecture, "latents"),),
            (_PICTURE,),
            AUTOENCODER_MAX_BATCH,
        ),
    )


def _latents(architecture: Architecture, name: str) -> Tensor:
    return Tensor(name, DataType.FP32, (_LATENT_CHANNELS[architecture], -1, -1), "channels, height, width")


def _served(
    family: str, suffix: str, about: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], max_batch: int
) -> ServedModel:
    return ServedModel(
        name=f"{family}_{suffix}",
        backend="onnxruntime",
        about=about,
        inputs=inputs,
        outputs=outputs,
        max_batch_size=max_batch,
        # The engine is the denoiser's batcher; Triton's own would only add a thread's waking to every step.
        batching=None if suffix in DENOISERS else DynamicBatching(),
        instances=InstanceGroup(),
        # The embedded backend's; NVIDIA's knows nothing of it.
        parameters={"split_rows": "1"} if suffix in DENOISERS else {},
        gpu=GpuProfile(instances=InstanceGroup(kind="KIND_GPU")),
    )
