"""JSON as narrow as we need it, so that nothing behind it meets a surprise. Knows no HTTP and no schema.

Python's own parser recurses on brackets, takes NaN and 1e999, lets the last of two equal keys win, and hands on lone
surrogates, which raise wherever they are encoded later. And it runs in the event loop, where nobody else is served
meanwhile: whatever takes long to look at, and no client of ours would send, is refused unseen.
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
# A picture is one long text without any escape, or with one for each of its slashes (PHP).
MAX_ESCAPES = 500_000
MAX_CHARACTERS_BETWEEN_TEXTS = 500_000
# Of texts that have what is not printable, such as line breaks. Others Python looks through at a glance.
MAX_CHARACTERS_SEARCHED = 500_000

_TOKEN = re.compile(r"[\[\]{},]")
# Tab, line feed and carriage return are part of ordinary text; every other control character is refused.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

Path = tuple[str | int, ...]


def parse_strict_json(data: bytes) -> Any:
    text = readable_text(data)
    document = document_of(text)
    check_nodes(document, texts_are_plain=has_only_plain_texts(text))
    return document


def readable_text(data: bytes) -> str:
    """Which the parser is safe to read: it would recurse on brackets."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("the body is not UTF-8") from None
    _check_nesting(text)
    return text


def document_of(text: str) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_int=_bounded_integer,
            parse_float=_finite_float,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error.msg} at character {error.pos}") from None


def has_only_plain_texts(text: str) -> bool:
    """JSON has every control character of ASCII escaped, but for DEL. Known sooner than by a look at each text."""
    return text.isascii() and "\\" not in text and "\x7f" not in text


def _check_nesting(text: str) -> None:
    """Before anything recurses or allocates: count strings, brackets and commas, and stop early."""
    if text.count("\\") > MAX_ESCAPES:
        raise Malformed(f"the body has more than {MAX_ESCAPES} backslashes")
    depth = 0
    for count, token in enumerate(_tokens(text), start=1):
        depth += (token in "[{") - (token in "]}")
        if depth > MAX_DEPTH:
            raise Malformed(f"the body is nested deeper than {MAX_DEPTH}")
        # To itself a value has at most a key, a pair of brackets or a string, and a comma.
        if count > 4 * MAX_NODES:
            _too_many_nodes()


def _tokens(text: str) -> Iterator[str]:
    """Brackets, commas, and a quote for each string. Strings are stepped over, however long they are."""
    left = MAX_CHARACTERS_BETWEEN_TEXTS
    unescaped = text.replace("\\\\", "").replace('\\"', "") if "\\" in text else text
    begin = 0
    while True:
        quote = unescaped.find('"', begin)
        end = len(unescaped) if quote < 0 else quote
        left -= end - begin
        if left < 0:
            raise Malformed(
                f"the body has more than {MAX_CHARACTERS_BETWEEN_TEXTS} characters that are not in a string"
            )
        yield from (match[0] for match in _TOKEN.finditer(unescaped, begin, end))
        if quote < 0:
            return
        begin = unescaped.find('"', quote + 1) + 1
        if not begin:
            raise Malformed("the body is not JSON: a string has no end")
        yield '"'


def check_nodes(document: Any, *, texts_are_plain: bool = False) -> None:
    """That there are not too many of them, and that their texts are text."""
    searched = 0
    for count, (path, node) in enumerate(_walk((), document), start=1):
        if count > MAX_NODES:
            _too_many_nodes()
        for place, text in () if texts_are_plain else _texts(path, node):
            if text.isprintable():  # which is true of no control character, and of no surrogate
                continue
            searched += len(text)
            if searched > MAX_CHARACTERS_SEARCHED:
                raise Malformed(
                    f"the body has more than {MAX_CHARACTERS_SEARCHED} characters in texts of several lines"
                )
            _check_text(place, text)


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


def _texts(path: Path, node: Any) -> Iterator[tuple[Path, str]]:
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for key in node:
            yield (*path, key), key


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
