"""One text encoder of a family with its tokenizer: a text in, its chunks encoded. Knows no other encoder."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelcore.diffusion.networks import EncodeText, Floats
from modelcore.diffusion.text_cache import TextCache
from modelcore.errors import InternalFault
from modelcore.text.chunks import ChunkTokenizer
from modelcore.text.emphasis import emphasised
from modelcore.text.weighting import read_weights

POOLED = "pooled"


@dataclass(frozen=True, eq=False)
class EncodedText:
    chunks: Floats  # (chunks, length, width)
    pooled: Floats | None  # (width,), of the first chunk
    cut: str  # words that no chunk had room for

    @property
    def nbytes(self) -> int:
        return self.chunks.nbytes + (0 if self.pooled is None else self.pooled.nbytes)

    @property
    def hidden(self) -> Floats:
        """One chunk after the other: (tokens, width)."""
        return self.chunks.reshape(-1, self.chunks.shape[-1])


TextCacheOfFamily = TextCache[EncodedText]


class TextReader:
    def __init__(self, place: int, tokenizer: ChunkTokenizer, encode: EncodeText, cache: TextCacheOfFamily) -> None:
        """`place` among the family's encoders, which share a cache."""
        self.tokenizer = tokenizer
        self._place = place
        self._encode = encode
        self._cache = cache

    def read(self, text: str, output: str, field: str) -> EncodedText:
        """`output` is the network's that is wanted; `field` is named when the text is refused."""
        return self._cache.get((self._place, output, text), lambda: self._read(text, output, field))

    def padded(self, encoded: EncodedText, count: int, output: str) -> EncodedText:
        """With chunks of the empty text up to `count`, as the denoiser reads both sides of its guidance in one call."""
        missing = count - len(encoded.chunks)
        if missing <= 0:
            return encoded
        empty = self.read("", output, "")
        chunks = np.concatenate([encoded.chunks, *[empty.chunks] * missing])
        return EncodedText(chunks, encoded.pooled, encoded.cut)

    def _read(self, text: str, output: str, field: str) -> EncodedText:
        chunked = self.tokenizer.encode(read_weights(text, field))
        # Each alone: how many chunks a text has must not change what an encoder says of one.
        answers = [self._encode(ids[None]) for ids in chunked.input_ids]
        hidden = (answer[output][0] for answer in answers)
        chunks = [emphasised(*pair) for pair in zip(hidden, chunked.weights, strict=True)]
        pooled = answers[0][POOLED][0] if POOLED in answers[0] else None
        return EncodedText(
            chunks=_own(np.stack(chunks), output),
            pooled=None if pooled is None else _own(np.array(pooled), POOLED),
            cut=chunked.cut,
        )


def _own(array: NDArray[np.float32], name: str) -> Floats:
    """Kept for others, so nobody may write into it; and what is no number must not be kept at all."""
    if not np.isfinite(array).all():
        raise InternalFault(f"the text encoder's {name} was NaN or infinite")
    own = np.ascontiguousarray(array, dtype=np.float32)
    own.flags.writeable = False
    return own
