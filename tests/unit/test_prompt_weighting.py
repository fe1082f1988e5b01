"""Expected weights are those in the documentation of AUTOMATIC1111's own parser."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcore.errors import InvalidInput
from modelcore.text.weighting import WeightedText, read_weights


def stretches(prompt: str) -> list[tuple[str, float]]:
    """Neighbours of one weight as one, as AUTOMATIC1111 lists them."""
    read = read_weights(prompt, "prompt")
    listed: list[tuple[str, float]] = []
    for place, character in enumerate(read.text):
        weight = round(read.weight_at(place), 9)
        if listed and listed[-1][1] == weight:
            listed[-1] = listed[-1][0] + character, weight
        else:
            listed.append((character, weight))
    return listed


def test_plain_text_weighs_one() -> None:
    assert read_weights("normal text", "prompt") == WeightedText("normal text", (0, 0), (1.0, 1.0))


def test_round_brackets_weigh_more() -> None:
    assert stretches("an (important) word") == [("an ", 1.0), ("important", 1.1), (" word", 1.0)]


def test_square_brackets_weigh_less() -> None:
    assert stretches("a [faint] word") == [("a ", 1.0), ("faint", 0.909090909), (" word", 1.0)]


@pytest.mark.parametrize("number", ["1.3", " 1.3", "+1.3", "1.30 "])
def test_a_number_is_the_weight(number: str) -> None:
    assert stretches(f"a (red:{number}) circle") == [("a ", 1.0), ("red", 1.3), (" circle", 1.0)]


def test_nested_weights_are_multiplied() -> None:
    assert stretches("a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).") == [
        ("a ", 1.0),
        ("house", 1.573),
        (" ", 1.1),
        ("on", 1.0),
        (" a ", 1.1),
        ("hill", 0.55),
        (", sun, ", 1.1),
        ("sky", 1.4641),
        (".", 1.1),
    ]


def test_escaped_brackets_are_text() -> None:
    assert stretches(r"\(literal\] \[and\) \\") == [("(literal] [and) \\", 1.0)]


def test_a_bracket_that_nothing_opened_is_text() -> None:
    assert stretches("(literal]") == [("literal]", 1.1)]
    assert stretches("smile :) and go") == [("smile :) and go", 1.0)]


def test_a_bracket_that_is_never_closed_counts_to_the_end() -> None:
    assert stretches("a (unbalanced prompt") == [("a ", 1.0), ("unbalanced prompt", 1.1)]


def test_a_number_that_is_none_is_text() -> None:
    assert stretches("(ratio:1.2.3)") == [("ratio:1.2.3", 1.1)]


def test_a_weight_outside_brackets_is_text() -> None:
    assert stretches("at 10:30) sharp") == [("at 10:30) sharp", 1.0)]


@pytest.mark.parametrize("prompt", ["(a:11)", "(a:-1)", "(" * 100 + "a" + ")" * 100, "(a:" + "9" * 400 + ")"])
def test_a_weight_out_of_bounds_is_refused_with_the_bounds(prompt: str) -> None:
    with pytest.raises(InvalidInput, match="between 0 and 10") as caught:
        read_weights(prompt, "negative_prompt")
    assert caught.value.field == "negative_prompt"


@settings(deadline=None)
@given(st.text(alphabet="ab(:1.)[]\\ ", max_size=60))
def test_no_prompt_is_a_fault(prompt: str) -> None:
    try:
        read = read_weights(prompt, "prompt")
    except InvalidInput:
        return
    assert len(read.starts) == len(read.weights)


@settings(deadline=None)
@given(st.text(max_size=60).filter(lambda text: not set(text) & set("()[]\\")))
def test_text_without_brackets_is_kept_as_it_is(prompt: str) -> None:
    assert stretches(prompt) == ([(prompt, 1.0)] if prompt else [])
