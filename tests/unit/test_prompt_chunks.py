from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from modelcore.errors import SetupProblem
from modelcore.text.chunks import ChunkTokenizer
from modelcore.text.weighting import read_weights
from tests.small_diffusion import CONTEXT
from tests.small_tokenizers import write_tokenizers

ROOM = CONTEXT - 2
START, END = 97, 98


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizers")
    write_tokenizers(folder, "sd3")
    return folder


@pytest.fixture(scope="module")
def clip(folder: Path) -> ChunkTokenizer:
    return ChunkTokenizer.load(folder / "exported" / "tokenizer")


@pytest.mark.parametrize("text", ["a red cat, b", "", "Ünïcode 🙂 red", "a" * ROOM, "  spaced \n out  "])
@pytest.mark.parametrize("name", ["tokenizer", "tokenizer_2"])
def test_a_short_text_has_the_ids_that_diffusers_would_give_it(folder: Path, name: str, text: str) -> None:
    padded = {"padding": "max_length", "max_length": CONTEXT, "truncation": True}
    wanted = AutoTokenizer.from_pretrained(folder / name)(text, **padded)["input_ids"]
    tokenizer = ChunkTokenizer.load(folder / "exported" / name)
    assert tokenizer.encode(read_weights(text, "prompt")).input_ids[0].tolist() == wanted


@pytest.mark.parametrize("text", ["a red cat, b", "", "red " * 40])
def test_t5_texts_are_cut_where_diffusers_cuts_them(folder: Path, text: str) -> None:
    padded = {"padding": "max_length", "max_length": 20, "truncation": True}
    wanted = AutoTokenizer.from_pretrained(folder / "tokenizer_3")(text, **padded)["input_ids"]
    tokenizer = ChunkTokenizer.load(folder / "exported" / "tokenizer_3", length=20, max_chunks=1)
    assert tokenizer.encode(read_weights(text, "prompt")).input_ids.tolist() == [wanted]


def test_a_long_text_goes_on_in_chunks_with_marks_of_their_own(clip: ChunkTokenizer) -> None:
    ids = clip.encode(read_weights("red " * (ROOM + 1), "prompt")).input_ids
    red = int(ids[0, 1])
    assert ids.tolist() == [[START, *[red] * ROOM, END], [START, red, *[END] * (CONTEXT - 2)]]


def test_a_text_that_just_fits_has_no_empty_chunk(clip: ChunkTokenizer) -> None:
    assert len(clip.encode(read_weights("red " * 2 * ROOM, "prompt")).input_ids) == 2


def test_what_exceeds_eight_chunks_is_cut_and_told(clip: ChunkTokenizer) -> None:
    chunked = clip.encode(read_weights("red " * 8 * ROOM + "and a cat", "prompt"))
    assert (len(chunked.input_ids), chunked.cut) == (8, "and a cat")


def test_nothing_is_cut_from_a_text_of_eight_chunks(clip: ChunkTokenizer) -> None:
    assert clip.encode(read_weights("red " * 8 * ROOM, "prompt")).cut == ""


def test_weights_fall_on_the_tokens_of_their_words(clip: ChunkTokenizer) -> None:
    weights = clip.encode(read_weights("a (red:1.5) ([cat]:2)", "prompt")).weights[0]
    wanted = [1, 1, 1.5, *[2 / 1.1] * 3, *[1] * (CONTEXT - 6)]
    np.testing.assert_allclose(weights, wanted, rtol=1e-6)


def test_weights_follow_their_words_into_the_next_chunk(clip: ChunkTokenizer) -> None:
    weights = clip.encode(read_weights("red " * ROOM + "(red:1.5)", "prompt")).weights
    assert np.argwhere(weights != 1).tolist() == [[1, 1]]


@pytest.mark.parametrize("name", ["tokenizer", "tokenizer_3"])
def test_weights_do_not_change_the_tokens(folder: Path, name: str) -> None:
    tokenizer = ChunkTokenizer.load(folder / "exported" / name)
    plain, weighted = (
        tokenizer.encode(read_weights(text, "prompt")).input_ids for text in ("a red, cat", "a (red:1.5), (ca)t")
    )
    np.testing.assert_array_equal(plain, weighted)


def test_a_tokenizer_without_padding_is_not_ours(folder: Path) -> None:
    with pytest.raises(SetupProblem, match="not written by our export"):
        ChunkTokenizer(Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json")))
