"""A text as the denoiser reads it is what diffusers' own encode_prompt makes of it, bit for bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel

from modelcore.diffusion.conditioning import Conditioner, ConditioningPair, TextFacts
from modelcore.errors import InternalFault, SetupProblem
from modelcore.family import Architecture
from tests.fake_studio import picture_request
from tests.small_diffusion import CONTEXT, write_random_family
from tests.small_tokenizers import write_tokenizers
from tests.torch_networks import torch_networks

ARCHITECTURES: tuple[Architecture, ...] = ("sd", "sdxl", "sd3")
ROOM = CONTEXT - 2
_ENCODERS: dict[Architecture, dict[str, Any]] = {
    "sd": {"text_encoder": CLIPTextModel},
    "sdxl": {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection},
    "sd3": {
        "text_encoder": CLIPTextModelWithProjection,
        "text_encoder_2": CLIPTextModelWithProjection,
        "text_encoder_3": T5EncoderModel,
    },
}
_PIPELINES = {"sd": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline", "sd3": "StableDiffusion3Pipeline"}
_NOT_NEEDED = {
    "sd": {"vae": None, "unet": None, "safety_checker": None, "feature_extractor": None},
    "sdxl": {"vae": None, "unet": None},
    "sd3": {"vae": None},
}


class Family:
    """One small random family, by our conditioner and by diffusers' pipeline."""

    def __init__(self, folder: Path, architecture: Architecture) -> None:
        self.folder = write_random_family(folder, architecture)
        self.architecture: Architecture = architecture
        self.tokenizers = write_tokenizers(folder, architecture)
        self.encode_text = torch_networks(folder, architecture).encode_text

    def conditioner(self, **facts: Any) -> Conditioner:
        return Conditioner(TextFacts(self.architecture, **facts), self.tokenizers, self.encode_text)

    def pipeline(self, *, without_t5: bool = False, **settings: Any) -> Any:
        encoders = {
            name: None if without_t5 and kind is T5EncoderModel else kind.from_pretrained(self.folder / name).eval()
            for name, kind in _ENCODERS[self.architecture].items()
        }
        names = (name.replace("text_encoder", "tokenizer") for name in encoders)
        tokenizers = {name: AutoTokenizer.from_pretrained(self.folder / name) for name in names}
        scheduler = diffusers.DDIMScheduler(steps_offset=1, clip_sample=False)
        parts: dict[str, Any] = {**_NOT_NEEDED[self.architecture], **encoders, **tokenizers, "scheduler": scheduler}
        if self.architecture == "sd":
            parts["requires_safety_checker"] = False
        if self.architecture == "sd3":
            kind = diffusers.SD3Transformer2DModel
            parts["transformer"] = kind.from_pretrained(self.folder / "transformer", low_cpu_mem_usage=False)
        return getattr(diffusers, _PIPELINES[self.architecture])(**parts, **settings)

    def reference(self, prompt: str, negative: str | None, pipeline: Any = None) -> list[dict[str, Any]]:
        """Negative, positive."""
        pipeline = pipeline or self.pipeline()
        more = {"sd": {"num_images_per_prompt": 1}, "sdxl": {}, "sd3": {"prompt_2": None, "prompt_3": None}}
        guided = {"do_classifier_free_guidance": True, "negative_prompt": negative}
        with torch.inference_mode():
            answer = pipeline.encode_prompt(prompt, device="cpu", **guided, **more[self.architecture])
        names = ("encoder_hidden_states", "pooled")
        arrays = [tensor[0].numpy() for tensor in answer]  # positive, negative, and the same pooled
        positive, negative_arrays = arrays[::2], arrays[1::2]
        return [dict(zip(names, found, strict=False)) for found in (negative_arrays, positive)]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As in the served pipeline; on a busy machine, threads take twenty times as long to meet as to compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Family]:
    return {name: Family(tmp_path_factory.mktemp(name), name) for name in ARCHITECTURES}


def assert_same(pair: ConditioningPair, reference: list[dict[str, Any]]) -> None:
    assert pair.negative is not None
    for got, wanted in zip((pair.negative, pair.positive), reference, strict=True):
        for name, array in wanted.items():
            np.testing.assert_array_equal(got.arrays[name], array)


@pytest.mark.parametrize("negative", ["", "blur, a cat"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_texts_are_encoded_as_diffusers_encodes_them(
    families: dict[str, Family], architecture: str, negative: str
) -> None:
    family = families[architecture]
    pair = family.conditioner().pair(picture_request(prompt="a red cat", negative_prompt=negative))
    assert_same(pair, family.reference("a red cat", negative))


@pytest.mark.parametrize("negative", [None, "blur"])
def test_sdxl_says_nothing_at_all_where_its_config_wants_that(
    families: dict[str, Family], negative: str | None
) -> None:
    family = families["sdxl"]
    reference = family.reference("a red cat", negative, family.pipeline(force_zeros_for_empty_prompt=True))
    conditioner = family.conditioner(forces_zeros_for_empty_prompt=True)
    assert_same(conditioner.pair(picture_request(prompt="a red cat", negative_prompt=negative or "")), reference)


def test_sdxl_is_told_its_sizes_on_both_sides(families: dict[str, Family]) -> None:
    conditioner = families["sdxl"].conditioner(forces_zeros_for_empty_prompt=True)
    pair = conditioner.pair(picture_request(width=64, height=32))
    assert pair.negative is not None
    for conditioning in (pair.positive, pair.negative):
        assert conditioning.arrays["time_ids"].tolist() == [32, 64, 0, 0, 32, 64]


def test_sd3_without_t5_reads_zeros_in_its_place(families: dict[str, Family]) -> None:
    family = families["sd3"]
    pipeline = family.pipeline(without_t5=True)
    facts = TextFacts("sd3", joint_width=pipeline.transformer.config.joint_attention_dim)
    conditioner = Conditioner(facts, family.tokenizers[:2], family.encode_text[:2])
    pair = conditioner.pair(picture_request(prompt="a red cat", negative_prompt="blur"))
    assert_same(pair, family.reference("a red cat", "blur", pipeline))


def test_clip_skip_leaves_out_the_last_layer_of_the_prompt_alone(families: dict[str, Family]) -> None:
    family = families["sd"]
    clip = CLIPTextModel.from_pretrained(family.folder / "text_encoder").eval()
    tokenizer = AutoTokenizer.from_pretrained(family.folder / "tokenizer")
    ids = tokenizer(["a red cat"], padding="max_length", return_tensors="pt").input_ids
    with torch.inference_mode():
        wanted = clip.final_layer_norm(clip(ids, output_hidden_states=True).hidden_states[-2])[0].numpy()
    pair = family.conditioner().pair(picture_request(prompt="a red cat", clip_skip=1))
    assert pair.negative is not None
    np.testing.assert_array_equal(pair.positive.arrays["encoder_hidden_states"], wanted)
    negative = family.reference("a red cat", "")[0]["encoder_hidden_states"]
    np.testing.assert_array_equal(pair.negative.arrays["encoder_hidden_states"], negative)


@pytest.mark.parametrize("guidance_scale", [0.0, 1.0])
def test_without_guidance_there_is_no_negative(families: dict[str, Family], guidance_scale: float) -> None:
    assert families["sd"].conditioner().pair(picture_request(guidance_scale=guidance_scale)).negative is None


@pytest.mark.parametrize("architecture", ["sd", "sdxl"])
def test_a_long_prompt_is_its_chunks_one_after_the_other(families: dict[str, Family], architecture: str) -> None:
    family = families[architecture]
    first, second = "red " * ROOM, "a cat"
    pair = family.conditioner().pair(picture_request(prompt=first + second, negative_prompt="blur"))
    parts = [family.reference(text, "")[1]["encoder_hidden_states"] for text in (first, second)]
    np.testing.assert_array_equal(pair.positive.arrays["encoder_hidden_states"], np.concatenate(parts))


@pytest.mark.parametrize("architecture", ["sd", "sdxl"])
def test_the_shorter_side_is_filled_up_with_the_empty_text(families: dict[str, Family], architecture: str) -> None:
    family = families[architecture]
    pair = family.conditioner().pair(picture_request(prompt="a cat", negative_prompt="red " * 2 * ROOM))
    parts = [family.reference(text, "")[1]["encoder_hidden_states"] for text in ("a cat", "")]
    np.testing.assert_array_equal(pair.positive.arrays["encoder_hidden_states"], np.concatenate(parts))


def test_pooled_is_of_the_first_chunk(families: dict[str, Family]) -> None:
    family = families["sdxl"]
    pair = family.conditioner().pair(picture_request(prompt="red " * ROOM + "a cat"))
    np.testing.assert_array_equal(pair.positive.arrays["pooled"], family.reference("red " * ROOM, "")[1]["pooled"])


def test_sd3_s_chunks_stand_before_t5_s_tokens(families: dict[str, Family]) -> None:
    conditioner = families["sd3"].conditioner(t5_tokens=40)
    shapes = [
        conditioner.pair(picture_request(prompt=prompt)).positive.arrays["encoder_hidden_states"].shape
        for prompt in ("a cat", "red " * (ROOM + 1))
    ]
    assert shapes == [(CONTEXT + 40, 64), (2 * CONTEXT + 40, 64)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_both_sides_have_the_same_tokens(families: dict[str, Family], architecture: str) -> None:
    pair = families[architecture].conditioner().pair(picture_request(prompt="red " * 3 * ROOM))
    assert pair.negative is not None
    shapes = {name: array.shape for name, array in pair.positive.arrays.items()}
    assert {name: array.shape for name, array in pair.negative.arrays.items()} == shapes


def test_weights_multiply_what_the_encoder_says_of_their_words(families: dict[str, Family]) -> None:
    family = families["sd"]
    pair = family.conditioner().pair(picture_request(prompt="a (red:1.5) cat"))
    plain = family.reference("a red cat", "")[1]["encoder_hidden_states"]
    factors = pair.positive.arrays["encoder_hidden_states"] / plain
    wanted = np.ones(CONTEXT)
    wanted[2] = 1.5  # start mark, a, red
    np.testing.assert_allclose(factors / factors[0, 0], np.broadcast_to(wanted[:, None], factors.shape), rtol=1e-5)


def test_words_that_were_cut_are_told_once(families: dict[str, Family]) -> None:
    prompt = "red " * 8 * ROOM + "and a cat"
    warnings = families["sdxl"].conditioner().pair(picture_request(prompt=prompt)).warnings
    told = f"prompt: a text encoder reads at most {8 * ROOM} tokens; it did not read 'and a cat'"
    assert warnings == (told,)


def test_nothing_is_told_of_texts_that_fit(families: dict[str, Family]) -> None:
    assert families["sd3"].conditioner().pair(picture_request()).warnings == ()


def test_a_text_is_encoded_once(families: dict[str, Family]) -> None:
    conditioner = families["sd3"].conditioner()
    for seed in (1, 2):
        conditioner.pair(picture_request(seed=seed))
    assert (conditioner.cache.hits, conditioner.cache.misses) == (6, 6)


def test_clip_skip_is_not_answered_with_the_whole_encoder_s_answer(families: dict[str, Family]) -> None:
    conditioner = families["sd"].conditioner()
    plain, skipped = (
        conditioner.pair(picture_request(clip_skip=clip_skip)).positive.arrays["encoder_hidden_states"]
        for clip_skip in (0, 1)
    )
    assert not np.array_equal(plain, skipped)


def test_an_encoder_that_answers_nan_is_a_fault_and_is_asked_again(families: dict[str, Family]) -> None:
    family, answers = families["sd"], [np.nan, 0.5]

    def encode(ids: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        return {"last_hidden_state": np.full((*ids.shape, 4), answers.pop(0), np.float32)}

    conditioner = Conditioner(TextFacts("sd"), family.tokenizers, [encode])
    request = picture_request(guidance_scale=1.0)
    with pytest.raises(InternalFault, match="NaN"):
        conditioner.pair(request)
    assert conditioner.pair(request).positive.arrays["encoder_hidden_states"].max() == 0.5


def test_a_family_that_lacks_an_encoder_is_refused(families: dict[str, Family]) -> None:
    family = families["sdxl"]
    with pytest.raises(SetupProblem, match="sdxl takes 2 text encoders"):
        Conditioner(TextFacts("sdxl"), family.tokenizers[:1], family.encode_text[:1])
