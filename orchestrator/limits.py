"""The bounds of REST requests. Knows numbers only."""

from modelcore.contract import Limit

TEXT_CHARACTERS = Limit("characters", 1, 2_000)
TEXT_BYTES = Limit("bytes", 1, 8 * 1024)
EMBEDDING_INPUTS = Limit("inputs", 1, 256)
