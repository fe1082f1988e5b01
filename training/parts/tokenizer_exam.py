"""Measure the tokenizer: transformers and the `tokenizers` library must agree on every id."""

from pathlib import Path

from tokenizers import Tokenizer
from transformers import CLIPTokenizer

from training.bars import CASES, EXAM_SEED
from training.measurement import Measured, share
from training.world import World


def measure(folder: Path) -> list[Measured]:
    ours = CLIPTokenizer.from_pretrained(folder)
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    world = World("held_out", EXAM_SEED)
    texts = [world.told_scene(index)[1].text for index in range(CASES)]
    agree = sum(ours(text).input_ids == plain.encode(text).ids for text in texts)
    return [share("tokenizer.agree", agree, len(texts))]
