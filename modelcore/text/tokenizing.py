"""Text to the ids a CLIP text tower reads: cut to the context length, padded. Knows tokenizers, no model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from modelcore.errors import SetupProblem

TOKENIZER_FILE = "tokenizer.json"
# Rows are padded to a multiple of this, not to the whole context: CLIP reads causally and takes its answer at the end
# mark, so what follows changes nothing but the work. The step keeps shapes few, since Triton batches only equal ones.
LENGTH_STEP = 16


@dataclass(frozen=True)
class TokenBatch:
    input_ids: NDArray[np.int64]  # (texts, the longest's length, rounded up)
    token_count: NDArray[np.int32]  # (texts, 1)
    truncated: NDArray[np.bool_]  # (texts, 1)


class ClipTokenizer:
    """A `tokenizer.json` whose truncation and padding were written into it by export."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        # Cutting is done in `encode`, so that we can tell who was cut.
        padding = tokenizer.padding
        if padding is None:
            raise SetupProblem(f"{TOKENIZER_FILE} has no padding: it was not written by our export")
        self._context = int(padding["length"])
        self._pad_id = int(padding["pad_id"])
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path) -> "ClipTokenizer":
        return cls(Tokenizer.from_file(str(folder / TOKENIZER_FILE)))

    def encode(self, texts: Sequence[str]) -> TokenBatch:
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        longest = max(len(ids) for ids in encoded)
        width = min(self._context, -(-longest // LENGTH_STEP) * LENGTH_STEP)
        input_ids = np.full((len(encoded), width), self._pad_id, dtype=np.int64)
        for row, ids in zip(input_ids, encoded, strict=True):
            # The last id is the end mark; a text that is cut must still end in it.
            kept = ids if len(ids) <= self._context else [*ids[: self._context - 1], ids[-1]]
            row[: len(kept)] = kept
        lengths = np.array([[len(ids)] for ids in encoded], dtype=np.int32)
        return TokenBatch(input_ids, np.minimum(lengths, self._context), lengths > self._context)
