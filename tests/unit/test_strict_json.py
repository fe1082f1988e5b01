"""The bounds of strict JSON, from both sides. What lies far outside is in tests/service/test_hostile_json.py."""

import json
from typing import Any

import pytest

from modelcore.errors import InvalidInput, Malformed
from orchestrator.edge.strict_json import MAX_DEPTH, MAX_NODES, parse_strict_json


@pytest.mark.parametrize(
    "document",
    [
        {"text": "tab\tline\nreturn\r é \N{GRINNING FACE} [{,", "numbers": [1, -2.5, 1e300, 9_999_999_999_999_999_999]},
        [],
        {},
        "",
        None,
        True,
    ],
)
def test_ordinary_json_is_read_as_it_is(document: Any) -> None:
    assert parse_strict_json(json.dumps(document).encode()) == document
    assert parse_strict_json(json.dumps(document, ensure_ascii=False).encode()) == document


def test_the_deepest_allowed_nesting_is_read() -> None:
    parse_strict_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(Malformed, match="nested deeper than 16"):
        parse_strict_json(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


@pytest.mark.parametrize("item", ["1", '"a"', "[]", '{"a": 1}'])
def test_every_value_counts_as_a_node(item: str) -> None:
    items = MAX_NODES // (2 if ":" in item else 1)
    parse_strict_json(f"[{','.join([item] * (items - 1))}]".encode())
    with pytest.raises(Malformed, match="more than 2000 values"):
        parse_strict_json(f"[{','.join([item] * items)}]".encode())


def test_brackets_and_commas_inside_a_string_count_for_nothing() -> None:
    text = "[{" * 5_000 + "," * 5_000 + '\\"'
    assert parse_strict_json(json.dumps(text).encode()) == text


def test_a_control_character_is_named_by_its_place() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_strict_json(b'{"input": ["a", {"text": "\\u0007"}]}')
    assert caught.value.field == "input[1].text"


def test_a_control_character_in_a_key_is_refused_without_repeating_it() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_strict_json(b'{"a\\u0000": 1}')
    assert caught.value.field == "a?"


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse_strict_json(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"
