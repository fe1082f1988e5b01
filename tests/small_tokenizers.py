"""Tokenizers for the small random families, which come without: of the real classes, with the families' own few ids."""

import string
from pathlib import Path
from typing import Any

from transformers import CLIPTokenizer, T5Tokenizer

from export.diffusion.pipeline import write_tokenizer
from modelcore.family import Architecture
from tests.small_diffusion import CONTEXT, VOCABULARY

_LETTERS = string.ascii_lowercase
_MARKS = ",.:"
_MERGES = [("r", "e"), ("re", "d</w>")]
# sdxl and sd3 pad the second encoder's texts with id 0, unlike the first's.
_KINDS: dict[Architecture, tuple[str, ...]] = {
    "sd": ("clip",),
    "sdxl": ("clip", "clip padded with a"),
    "sd3": ("clip", "clip padded with a", "t5"),
}


def write_tokenizers(folder: Path, architecture: Architecture) -> tuple[Path, ...]:
    """In the hub's layout; returns the folders that our export made of them."""
    exported = []
    for place, kind in enumerate(_KINDS[architecture]):
        name = f"tokenizer_{place + 1}" if place else "tokenizer"
        _tokenizer(kind).save_pretrained(folder / name)
        target = folder / "exported" / name
        target.parent.mkdir(exist_ok=True)
        write_tokenizer(folder / name, target)
        exported.append(target)
    return tuple(exported)


def _tokenizer(kind: str) -> Any:
    if kind == "t5":
        pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁red", -4.0)]
        pieces += [(character, -3.0) for character in _LETTERS + _MARKS]
        return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)
    pad = "a" if kind == "clip padded with a" else "<|endoftext|>"
    return CLIPTokenizer(vocab=_clip_vocabulary(), merges=_MERGES, model_max_length=CONTEXT, pad_token=pad)


def _clip_vocabulary() -> dict[str, int]:
    words = [*_LETTERS, *_MARKS, *(f"{character}</w>" for character in _LETTERS + _MARKS), "re", "red</w>"]
    words += [f"<unused {number}>" for number in range(len(words), VOCABULARY - 2)]
    return {word: place for place, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
