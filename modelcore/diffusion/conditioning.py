"""A request's words as the arrays the denoiser reads. Knows tokenizers and text encoders, no latents.

What is built is what diffusers' `encode_prompt` builds for the architecture, as long as a prompt has no weights and
fits into one chunk; beyond that its pipelines cut, and we go on (modelcore/text/chunks.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelcore.contract import Architecture
from modelcore.diffusion.networks import EncodeText, Floats
from modelcore.diffusion.request import PictureRequest
from modelcore.diffusion.text_cache import TextCache
from modelcore.diffusion.text_reading import EncodedText, TextCacheOfFamily, TextReader
from modelcore.errors import SetupProblem
from modelcore.text.chunks import ChunkTokenizer

T5_TOKENS = 256  # diffusers' max_sequence_length
_ECHO_LIMIT = 64
_CLIPS: Mapping[Architecture, int] = {"sd": 1, "sdxl": 2, "sd3": 2}


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Of one text, without a row dimension."""

    arrays: Mapping[str, Floats]  # encoder_hidden_states (tokens, width); pooled (width,); time_ids (6,)


@dataclass(frozen=True, eq=False)
class ConditioningPair:
    """Both with the same number of tokens."""

    positive: Conditioning
    negative: Conditioning | None  # None: no guidance
    warnings: tuple[str, ...]  # which words were cut


@dataclass(frozen=True)
class TextFacts:
    """What a family's own files say of its texts."""

    architecture: Architecture
    forces_zeros_for_empty_prompt: bool = False  # sdxl: where nothing is to be kept away from, say nothing at all
    t5_tokens: int = T5_TOKENS
    joint_width: int = 4096  # of sd3's transformer, for a family that leaves T5 out


class Conditioner:
    """One per family. May be used from several threads."""

    def __init__(
        self,
        facts: TextFacts,
        tokenizers: Sequence[Path],
        encode_text: Sequence[EncodeText],
        *,
        cache: TextCacheOfFamily | None = None,
    ) -> None:
        """`tokenizers` are folders, one for each encoder, in the same order: CLIP's first, then T5's."""
        self._facts = facts
        self.cache: TextCacheOfFamily = TextCache() if cache is None else cache
        self._clip_count = _CLIPS[facts.architecture]
        _check_encoders(facts.architecture, len(tokenizers), len(encode_text))
        pairs = zip(tokenizers, encode_text, strict=True)
        self._readers = [self._reader(place, *pair) for place, pair in enumerate(pairs)]

    def pair(self, request: PictureRequest) -> ConditioningPair:
        texts = [self._read(request.prompt, "prompt", request.clip_skip)]
        is_guided = request.guidance_scale > 1
        is_silent = is_guided and self._is_silent(request)
        if is_guided and not is_silent:
            # As diffusers does: clip_skip is for what is wanted only.
            texts.append(self._read(request.negative_prompt, "negative_prompt", 0))
        count = max(len(clip.chunks) for text in texts for clip in text.clips)
        positive, *others = [self._conditioning(text, count, request) for text in texts]
        negative = _silence(positive) if is_silent else next(iter(others), None)
        warnings = dict.fromkeys(warning for text in texts for warning in text.warnings)
        return ConditioningPair(positive, negative, tuple(warnings))

    def _is_silent(self, request: PictureRequest) -> bool:
        is_sdxl = self._facts.architecture == "sdxl"
        return is_sdxl and self._facts.forces_zeros_for_empty_prompt and not request.negative_prompt

    def _reader(self, place: int, folder: Path, encode: EncodeText) -> TextReader:
        if place < self._clip_count:
            return TextReader(place, ChunkTokenizer.load(folder), encode, self.cache)
        # T5 has no length it was trained on, so its texts are not cut into chunks: there is one, as diffusers has it.
        tokenizer = ChunkTokenizer.load(folder, length=self._facts.t5_tokens, max_chunks=1)
        return TextReader(place, tokenizer, encode, self.cache)

    def _read(self, text: str, field: str, clip_skip: int) -> "_ReadText":
        outputs = [self._output(place, clip_skip) for place in range(len(self._readers))]
        encoded = [reader.read(text, output, field) for reader, output in zip(self._readers, outputs, strict=True)]
        warnings = [
            _warning(field, reader, one.cut) for reader, one in zip(self._readers, encoded, strict=True) if one.cut
        ]
        return _ReadText(encoded[: self._clip_count], encoded[self._clip_count :], outputs, warnings)

    def _output(self, place: int, clip_skip: int) -> str:
        if self._facts.architecture == "sd":
            return "clip_skip_hidden_state" if clip_skip else "last_hidden_state"
        return "penultimate_hidden_state" if place < self._clip_count else "last_hidden_state"

    def _conditioning(self, text: "_ReadText", count: int, request: PictureRequest) -> Conditioning:
        readers = self._readers[: self._clip_count]
        clips = [
            reader.padded(clip, count, output).hidden
            for reader, clip, output in zip(readers, text.clips, text.outputs, strict=False)
        ]
        hidden = np.concatenate(clips, axis=1)
        pooled = [clip.pooled for clip in text.clips if clip.pooled is not None]
        match self._facts.architecture:
            case "sd":
                return Conditioning({"encoder_hidden_states": hidden})
            case "sdxl":
                arrays = {"encoder_hidden_states": hidden, "pooled": pooled[-1], "time_ids": _time_ids(request)}
                return Conditioning(arrays)
            case "sd3":
                joint = _joint(hidden, self._t5(text))
                return Conditioning({"encoder_hidden_states": joint, "pooled": np.concatenate(pooled)})

    def _t5(self, text: "_ReadText") -> Floats:
        if text.t5:
            return text.t5[0].hidden
        return np.zeros((self._facts.t5_tokens, self._facts.joint_width), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _ReadText:
    """One text as each encoder of the family understands it."""

    clips: Sequence[EncodedText]
    t5: Sequence[EncodedText]  # one or none
    outputs: Sequence[str]  # that were read, by encoder
    warnings: Sequence[str]


def _check_encoders(architecture: Architecture, tokenizers: int, encoders: int) -> None:
    clips = _CLIPS[architecture]
    allowed = (clips, clips + 1) if architecture == "sd3" else (clips,)
    if encoders not in allowed or tokenizers != encoders:
        raise SetupProblem(
            f"{architecture} takes {' or '.join(map(str, allowed))} text encoders with a tokenizer each: "
            f"{encoders} encoders, {tokenizers} tokenizers"
        )


def _silence(positive: Conditioning) -> Conditioning:
    """Zeros for the words; the sizes stay."""
    time_ids = positive.arrays["time_ids"]
    zeros = {name: np.zeros_like(array) for name, array in positive.arrays.items()}
    return Conditioning({**zeros, "time_ids": time_ids})


def _time_ids(request: PictureRequest) -> Floats:
    """Size of the original, where it was cropped, wanted size: as if it had always been what is wanted."""
    return np.array([request.height, request.width, 0, 0, request.height, request.width], dtype=np.float32)


def _joint(clips: Floats, t5: Floats) -> Floats:
    """CLIP's tokens, as wide as T5's, then T5's."""
    return np.concatenate([np.pad(clips, ((0, 0), (0, t5.shape[1] - clips.shape[1]))), t5])


def _warning(field: str, reader: TextReader, cut: str) -> str:
    shown = cut if len(cut) <= _ECHO_LIMIT else f"{cut[:_ECHO_LIMIT]}…"
    return f"{field}: a text encoder reads at most {reader.tokenizer.max_tokens} tokens; it did not read {shown!r}"
