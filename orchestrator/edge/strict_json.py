"""JSON as narrow as we need it, so that nothing behind it meets a surprise. Knows no HTTP and no schema.

Python's own parser recurses on brackets, takes NaN and 1e999, lets the last of two equal keys win, and hands on lone
surrogates, which raise wherever they are encoded later.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from modelcore.errors import InvalidInput, Malformed
from orchestrator.edge.field_paths import field_path
from orchestrator.errors import shortened

MAX_DEPTH = 16
MAX_NODES = 2_000
MAX_INTEGER_DIGITS = 19

# Possessive, so that no input makes it backtrack. A lone quote matches last: a string without an end.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},"]', re.DOTALL)
# Tab, line feed and carriage return are part of ordinary text; every other control character is refused.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

Path = tuple[str | int, ...]


def parse_strict_json(data: bytes) -> Any:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("the body is not UTF-8") from None
    _check_nesting(text)
    try:
        document = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_int=_bounded_integer,
            parse_float=_finite_float,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    check_nodes(document)
    return document


def _check_nesting(text: str) -> None:
    """Before anything recurses or allocates: count strings, brackets and commas, and stop early."""
    depth = 0
    for count, match in enumerate(_TOKEN.finditer(text), start=1):
        token = match[0]
        if token in "[{":
            depth += 1
        elif token in "]}":
            depth -= 1
        elif token == '"':
            raise Malformed("the body is not JSON: a string has no end")
        if depth > MAX_DEPTH:
            raise Malformed(f"the body is nested deeper than {MAX_DEPTH}")
        # To itself a value has at most a key, a pair of brackets or a string, and a comma.
        if count > 4 * MAX_NODES:
            _too_many_nodes()


def check_nodes(document: Any) -> None:
    """That there are not too many of them, and that their texts are text."""
    for count, (path, node) in enumerate(_walk((), document), start=1):
        if count > MAX_NODES:
            _too_many_nodes()
        if isinstance(node, str):
            _check_text(path, node)
        elif isinstance(node, dict):
            for key in node:
                _check_text((*path, key), key)


def has_control_characters(text: str) -> bool:
    return _CONTROL.search(text) is not None


def _walk(path: Path, node: Any) -> Iterator[tuple[Path, Any]]:
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _walk((*path, key), value)
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from _walk((*path, position), value)


def _check_text(path: Path, text: str) -> None:
    if _SURROGATE.search(text):
        raise Malformed("the body is not Unicode: half of a surrogate pair stands alone")
    if _CONTROL.search(text):
        field = shortened(_CONTROL.sub("?", field_path(path)))
        raise InvalidInput(f"{field or 'body'} must not contain control characters", field=field or "body")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("the body names a key twice in one object")
    return members


def _bounded_integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise Malformed(f"the body has an integer of more than {MAX_INTEGER_DIGITS} digits")
    return int(digits)


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Malformed("the body has a number that is too large")
    return value


def _no_constant(name: str) -> NoReturn:
    raise Malformed(f"the body has {name}, which is not JSON")


def _too_many_nodes() -> NoReturn:
    raise Malformed(f"the body has more than {MAX_NODES} values")
