import pytest

from modelcore.errors import InvalidInput
from modelcore.text.limits import TextLimits, check_text


def test_a_text_at_both_bounds_is_taken() -> None:
    assert check_text("é" * 4, TextLimits(max_characters=4, max_bytes=8), "text") == b"\xc3\xa9" * 4


def test_characters_are_counted_before_bytes() -> None:
    with pytest.raises(InvalidInput, match="may have 3 characters: 4"):
        check_text("abcd", TextLimits(max_characters=3, max_bytes=3), "text")


def test_few_characters_may_be_too_many_bytes() -> None:
    with pytest.raises(InvalidInput, match="may have 8 bytes: 12"):
        check_text("🙂🙂🙂", TextLimits(max_characters=4, max_bytes=8), "text")
