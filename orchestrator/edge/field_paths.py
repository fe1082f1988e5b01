"""How a place inside a JSON document is written: `input[3].text`."""

from collections.abc import Sequence


def field_path(parts: Sequence[str | int]) -> str:
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path
