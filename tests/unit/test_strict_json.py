"""The bounds of strict JSON, from both sides. What lies far outside is in tests/service/test_hostile_json.py."""

import json
from typing import Any

import pytest

from modelcore.errors import InvalidInput, Malformed, TriptychError
from orchestrator.edge.json_route import read_json
from orchestrator.edge.strict_json import (
    MAX_CHARACTERS_BETWEEN_TEXTS,
    MAX_CHARACTERS_SEARCHED,
    MAX_DEPTH,
    MAX_ESCAPES,
    MAX_NODES,
    parse_strict_json,
)


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


def test_a_text_may_be_as_long_as_it_likes() -> None:
    text = "é" * 2 * MAX_CHARACTERS_SEARCHED
    assert parse_strict_json(json.dumps([text], ensure_ascii=False).encode()) == [text]


@pytest.mark.parametrize("text", ["a\N{DELETE}", "a\N{DELETE}é", "a\x85", "\x9fa"])
def test_a_control_character_that_json_lets_through_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="control characters"):
        parse_strict_json(json.dumps([text], ensure_ascii=False).encode())


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('"%s"' % (r"\/" * (MAX_ESCAPES + 1)), "backslashes"),
        ("[%s1]" % (" " * MAX_CHARACTERS_BETWEEN_TEXTS), "not in a string"),
        ("0.%s" % ("1" * MAX_CHARACTERS_BETWEEN_TEXTS), "not in a string"),
        ('["%s"]' % (r"\n" + "a" * MAX_CHARACTERS_SEARCHED), "several lines"),
        (
            json.dumps({r"a\n": 1, "b": ["\u00a0" * (MAX_CHARACTERS_SEARCHED // 2 + 1)] * 2}, ensure_ascii=False),
            "several",
        ),
    ],
)
def test_what_takes_long_to_look_at_is_refused_unseen(document: str, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        parse_strict_json(document.encode())


def test_a_large_picture_of_a_client_that_escapes_slashes_is_read() -> None:
    picture = "iVBORw0KGgo/" * 400_000
    assert parse_strict_json(json.dumps({"image": picture}).replace("/", r"\/").encode()) == {"image": picture}


def test_escaped_quotes_and_backslashes_do_not_end_a_string() -> None:
    document = {"a\\": '"]}[{,', '\\"': "\\\\", "": '\\\\"'}
    assert parse_strict_json(json.dumps(document).encode()) == document
    with pytest.raises(Malformed, match="a string has no end"):
        parse_strict_json(rb'{"a": "\\\"}')


async def test_a_large_body_is_read_as_a_small_one_is() -> None:
    document = {"image": "A" * 2 * 2**20, "steps": 3}
    assert await read_json(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    "end", [b', "a": NaN}', b', "image": 1}', b', "a": "\\u0007"}', b', "a": [[[[[[[[[[[[[[[[', b"\xff}"]
)
async def test_a_large_body_is_refused_for_what_a_small_one_is(end: bytes) -> None:
    body = b'{"image": "' + b"A" * 2 * 2**20 + b'"' + end
    with pytest.raises(TriptychError) as small:
        parse_strict_json(body)
    with pytest.raises(TriptychError) as large:
        await read_json(body)
    assert (type(large.value), large.value.detail) == (type(small.value), small.value.detail)
