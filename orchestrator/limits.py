"""The bounds of REST requests. Knows numbers only."""

from modelcore.contract import Limit

TEXT_CHARACTERS = Limit("characters of a text", 1, 2_000)
TEXT_BYTES = Limit("bytes of a text", 1, 8 * 1024)
EMBEDDING_INPUTS = Limit("inputs of a request", 1, 256)
