"""The family's tokenizer: CLIP's byte-pair encoding, learnt from the grammar's words.

Every word of the grammar becomes one token, and any other text still encodes, byte by byte if it must.
"""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer

from training.family import Order
from training.loop import Run
from training.words import grammar_words

MAX_LENGTH = 32
START, END = "<|startoftext|>", "<|endoftext|>"
_WORD_END = "</w>"

RECIPE = f"byte-pair merges until every word of the grammar is one token; length {MAX_LENGTH}"

Merge = tuple[str, str]


def train_part(order: Order) -> Run:
    build(order.weights_folder)
    return Run(order.run_folder, steps=0)


def build(folder: Path) -> CLIPTokenizer:
    """Write the tokenizer in the hub's layout: vocab.json, merges.txt, tokenizer.json."""
    merges = learn_merges(grammar_words())
    vocabulary = vocabulary_of(merges)
    tokenizer = make(merges)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False) + "\n")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    return tokenizer


def make(merges: list[Merge] | None = None) -> CLIPTokenizer:
    merges = learn_merges(grammar_words()) if merges is None else merges
    return CLIPTokenizer(
        vocab=vocabulary_of(merges),
        merges=merges,
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=MAX_LENGTH,
    )


def learn_merges(words: list[str]) -> list[Merge]:
    """Join the most frequent neighbours until every word is one token; ties go to the alphabet."""
    spellings = [[*word[:-1], word[-1] + _WORD_END] for word in words]
    merges: list[Merge] = []
    while any(len(spelling) > 1 for spelling in spellings):
        counts = Counter(pair for spelling in spellings for pair in pairwise(spelling))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        spellings = [_merged(spelling, best) for spelling in spellings]
        merges.append(best)
    return merges


def vocabulary_of(merges: list[Merge]) -> dict[str, int]:
    """CLIP's order: bytes, bytes that end a word, merges, the two markers."""
    letters = _byte_letters()
    tokens = [*letters, *(letter + _WORD_END for letter in letters)]
    tokens += [first + second for first, second in merges]
    return {token: index for index, token in enumerate([*tokens, START, END])}


def _merged(spelling: list[str], pair: Merge) -> list[str]:
    result: list[str] = []
    for piece in spelling:
        if result and (result[-1], piece) == pair:
            result[-1] += piece
        else:
            result.append(piece)
    return result


def _byte_letters() -> list[str]:
    """GPT-2's printable letter for each byte: printable bytes stand for themselves."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    unprintable = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(unprintable))]
