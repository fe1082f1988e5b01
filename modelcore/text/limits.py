"""How long a text from outside may be: one number for REST and for Triton's tensors."""

from dataclasses import dataclass

from modelcore.errors import InvalidInput


@dataclass(frozen=True)
class TextLimits:
    """A context is a few dozen tokens; the bounds only keep nonsense away from the tokenizer."""

    max_characters: int = 2_000
    max_bytes: int = 8 * 1024


def check_text(text: str, limits: TextLimits, field: str) -> bytes:
    """The text as UTF-8, if it is short enough."""
    if len(text) > limits.max_characters:
        raise InvalidInput(f"{field} may have {limits.max_characters} characters: {len(text)}", field=field)
    encoded = text.encode()
    if len(encoded) > limits.max_bytes:
        raise InvalidInput(f"{field} may have {limits.max_bytes} bytes: {len(encoded)}", field=field)
    return encoded
