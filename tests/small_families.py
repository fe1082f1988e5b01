"""Small random networks on disk, in the hub's own layout: seeded, quick to make, right in shape and class only."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, trainers
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

_WORDS = [
    "a large red circle above a small blue square",
    "two green stars, left of a yellow triangle",
]
CONTEXT = 40


def write_random_clip(folder: Path, *, seed: int = 0, projection: int = 24) -> Path:
    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    end = tokenizer.eos_token_id
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text = {
        **shape,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CONTEXT,
        "eos_token_id": end,
    }
    text |= {"bos_token_id": tokenizer.bos_token_id, "pad_token_id": tokenizer.pad_token_id}
    vision = {**shape, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=projection)
    CLIPModel(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def _tokenizer() -> CLIPTokenizer:
    """Learn merges from a few words; CLIPTokenizer then adds its own normaliser and end-of-word rule."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    special = ["<|startoftext|>", "<|endoftext|>"]
    letters = [chr(code) for code in range(33, 127)] + [f"{chr(code)}</w>" for code in range(33, 127)]
    trainer = trainers.BpeTrainer(vocab_size=260, initial_alphabet=letters[:94], end_of_word_suffix="</w>")
    learner.train_from_iterator(_WORDS, trainer)
    vocabulary = list(dict.fromkeys([*letters, *learner.get_vocab(), *special]))
    merges = [tuple(pair) for pair in _merges(learner)]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(vocabulary)},
        merges=merges,
        model_max_length=CONTEXT,
    )


def _merges(tokenizer: Tokenizer) -> list[list[str]]:
    return [
        pair if isinstance(pair, list) else pair.split(" ")
        for pair in json.loads(tokenizer.to_str())["model"]["merges"]
    ]
