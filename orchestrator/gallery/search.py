"""Which pictures are meant: words of the prompt and plain filters, as SQL conditions."""

import re
import unicodedata
from dataclasses import dataclass

from sqlalchemy import ColumnElement, false

from modelcore.errors import InvalidInput
from orchestrator.storage.tables import ImageRow

MAX_WORDS = 32
# Scripts that put no space between words: each of their characters counts as one.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


@dataclass(frozen=True)
class ImageFilter:
    """What is None is not asked. Every word of `words` must begin a word of the prompt."""

    words: str | None = None
    kind: str | None = None
    family: str | None = None
    feedback: int | None = None
    width: int | None = None
    height: int | None = None
    from_ms: int | None = None
    before_ms: int | None = None


def words_of(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def searchable(prompt: str) -> str:
    """The prompt's words, a space before each, so that LIKE '% red%' finds `red` and `reddish` but not `bored`."""
    return "".join(f" {word}" for word in words_of(prompt))


def conditions(owner: str, wanted: ImageFilter) -> list[ColumnElement[bool]]:
    equal = {
        ImageRow.kind: wanted.kind,
        ImageRow.family: wanted.family,
        ImageRow.feedback: wanted.feedback,
        ImageRow.width: wanted.width,
        ImageRow.height: wanted.height,
    }
    found = [ImageRow.owner == owner, *(column == value for column, value in equal.items() if value is not None)]
    if wanted.from_ms is not None:
        found.append(ImageRow.created_at_ms >= wanted.from_ms)
    if wanted.before_ms is not None:
        found.append(ImageRow.created_at_ms < wanted.before_ms)
    return [*found, *_word_conditions(wanted.words)]


def _word_conditions(text: str | None) -> list[ColumnElement[bool]]:
    if text is None or not text.strip():
        return []
    words = words_of(text)
    if len(words) > MAX_WORDS:
        raise InvalidInput(f"a search may have {MAX_WORDS} words: {len(words)}", field="search")
    return [ImageRow.prompt_words.contains(f" {word}", autoescape=True) for word in words] or [false()]
