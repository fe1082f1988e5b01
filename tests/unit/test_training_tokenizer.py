from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import CLIPTokenizer

from training.parts.tokenizer import MAX_LENGTH, build, learn_merges
from training.words import grammar_words
from training.world import World


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    build(path)
    return path


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder)


def test_most_frequent_neighbours_merge_first() -> None:
    assert learn_merges(["ab", "cab"]) == [("a", "b</w>"), ("c", "ab</w>")]


@pytest.mark.parametrize("word", grammar_words())
def test_every_word_of_the_grammar_is_one_token(tokenizer: CLIPTokenizer, word: str) -> None:
    assert len(tokenizer(word).input_ids) == 3  # with start and end


def test_tokenizers_library_reads_the_same_ids(folder: Path, tokenizer: CLIPTokenizer) -> None:
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = [World("train", 1).told_scene(index)[1].text for index in range(100)]
    for text in [*texts, "A Zebra, über-striped! 😀", ""]:
        assert plain.encode(text).ids == tokenizer(text).input_ids


def test_no_caption_is_longer_than_the_text_encoder(tokenizer: CLIPTokenizer) -> None:
    texts = [World("train", 1, (3,)).told_scene(index)[1].text for index in range(500)]
    assert max(map(len, tokenizer(texts).input_ids)) <= MAX_LENGTH == tokenizer.model_max_length
