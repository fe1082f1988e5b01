"""A TOML file read strictly: every complaint names the file and the line. Knows no particular file."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelcore.errors import SetupProblem

_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\"'-]+)\s*=")


@dataclass(frozen=True)
class Table:
    """One table of the file, and where it and its keys stand."""

    file: Path
    place: tuple[str, ...]
    values: Mapping[str, Any]
    lines: Mapping[tuple[str, ...], int]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def only(self, *allowed: str) -> None:
        """A misspelt key must not pass for an absent one."""
        for key in self.values:
            if key not in allowed:
                raise self.problem(key, f"unknown key {key!r}; known here: {', '.join(sorted(allowed))}")

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.problem(key, f"{key} must be a non-empty string: {value!r}")
        return value

    def integer(self, key: str) -> int:
        value = self.values.get(key)
        # TOML's true is Python's 1.
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.problem(key, f"{key} must be a whole number of 1 or more: {value!r}")
        return value

    def number(self, key: str) -> float:
        value = self.values.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
            raise self.problem(key, f"{key} must be a number of 0 or more: {value!r}")
        return float(value)

    def flag(self, key: str) -> bool:
        value = self.values.get(key)
        if not isinstance(value, bool):
            raise self.problem(key, f"{key} must be true or false: {value!r}")
        return value

    def span(self, key: str) -> tuple[int, int]:
        value = self.values.get(key)
        whole = isinstance(value, list) and len(value) == 2 and all(type(item) is int for item in value)
        if not isinstance(value, list) or not whole or not 1 <= value[0] <= value[1]:
            raise self.problem(key, f"{key} must be [smallest, largest], whole numbers of 1 or more: {value!r}")
        return value[0], value[1]

    def table(self, key: str) -> "Table":
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.problem(key, f"{key} must be a table, [{key}]: {value!r}")
        return Table(self.file, (*self.place, key), value, self.lines)

    def problem(self, key: str, text: str) -> SetupProblem:
        """The complaint, at the key's line, or at its table's when the key itself is what is missing."""
        places = ((*self.place, key), self.place)
        line = next((self.lines[place] for place in places if place in self.lines), None)
        return SetupProblem(f"{self.file}:{line}: {text}" if line else f"{self.file}: {text}")


def read_toml(path: Path) -> Table:
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetupProblem(f"{path}: {error}") from error
    return Table(path, (), document, _lines(text))


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Place -> line number. tomllib keeps no positions, so the text is looked through once more."""
    lines: dict[tuple[str, ...], int] = {}
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = _split(header[1])
            lines.setdefault(section, number)
        elif key := _KEY.match(line):
            lines.setdefault((*section, *_split(key[1])), number)
    # A table may be known by its children alone: [parts.clip] says where parts begins too.
    for place, number in list(lines.items()):
        for depth in range(1, len(place)):
            lines.setdefault(place[:depth], number)
    return lines


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip(" \"'") for part in dotted.split("."))
