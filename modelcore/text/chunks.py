"""Text of any length as the ids of a text encoder, in chunks of the encoder's own length. Knows tokenizers, no model.

Each chunk is a text of its own, with its own start and end mark and its padding, as if it had been asked for alone: so
an encoder always sees the one shape it was trained on. A weight belongs to the tokens of the words that bear it; the
words are cut into tokens as if no weights were there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from modelcore.errors import SetupProblem
from modelcore.text.tokenizing import TOKENIZER_FILE
from modelcore.text.weighting import WeightedText

MAX_CHUNKS = 8


@dataclass(frozen=True, eq=False)
class Chunked:
    input_ids: NDArray[np.int64]  # (chunks, length)
    weights: NDArray[np.float32]  # (chunks, length); marks and padding weigh 1
    cut: str  # what no chunk had room for


class ChunkTokenizer:
    """A `tokenizer.json` whose padding was written into it by export."""

    def __init__(self, tokenizer: Tokenizer, *, length: int | None = None, max_chunks: int = MAX_CHUNKS) -> None:
        """`length` of a chunk; where it is None, the tokenizer's own. T5 has no length of its own."""
        padding = tokenizer.padding
        if padding is None:
            raise SetupProblem(f"{TOKENIZER_FILE} has no padding: it was not written by our export")
        self.length = length or int(padding["length"])
        self.max_chunks = max_chunks
        self._pad_id = int(padding["pad_id"])
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        # The empty text is nothing but its marks: CLIP's start and end, T5's end.
        *self._start, self._end = tokenizer.encode("").ids
        self._room = self.length - len(self._start) - 1

    @classmethod
    def load(cls, folder: Path, *, length: int | None = None, max_chunks: int = MAX_CHUNKS) -> "ChunkTokenizer":
        return cls(Tokenizer.from_file(str(folder / TOKENIZER_FILE)), length=length, max_chunks=max_chunks)

    @property
    def max_tokens(self) -> int:
        """Without the marks."""
        return self._room * self.max_chunks

    def encode(self, weighted: WeightedText) -> Chunked:
        encoding = self._tokenizer.encode(weighted.text, add_special_tokens=False)
        kept = encoding.ids[: self.max_tokens]
        weights = [weighted.weight_at(start) for start, _ in encoding.offsets[: self.max_tokens]]
        # An empty text has one chunk too.
        starts = range(0, max(len(kept), 1), self._room)
        cut_at = encoding.offsets[len(kept)][0] if len(kept) < len(encoding.ids) else len(weighted.text)
        return Chunked(
            input_ids=np.stack([self._ids(kept[start : start + self._room]) for start in starts]),
            weights=np.stack([self._weights(weights[start : start + self._room]) for start in starts]),
            cut=weighted.text[cut_at:].strip(),
        )

    def _ids(self, ids: Sequence[int]) -> NDArray[np.int64]:
        chunk = np.full(self.length, self._pad_id, dtype=np.int64)
        marked = [*self._start, *ids, self._end]
        chunk[: len(marked)] = marked
        return chunk

    def _weights(self, weights: Sequence[float]) -> NDArray[np.float32]:
        chunk = np.ones(self.length, dtype=np.float32)
        first = len(self._start)
        chunk[first : first + len(weights)] = weights
        return chunk
