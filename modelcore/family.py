"""Reads families/<name>/family.toml: where each network of a set of weights comes from. Loads no weights."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelcore.errors import SetupProblem

FAMILY_FILE = "family.toml"
PARTS = ("clip",)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_TOP_KEYS = {"name", "about", "licence", "parts"}
_PART_KEYS = {"folder"}


@dataclass(frozen=True)
class Family:
    name: str
    about: str
    licence: str
    parts: dict[str, Path]  # part name -> folder in the hub's layout

    def part(self, name: str) -> Path:
        if name not in self.parts:
            raise SetupProblem(f"family {self.name} has no part {name!r}; it has: {', '.join(self.parts)}")
        return self.parts[name]


def read_family(folder: Path) -> Family:
    path = folder / FAMILY_FILE
    if not path.is_file():
        raise SetupProblem(f"no family here: {path} does not exist")
    text = path.read_text(encoding="utf-8")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SetupProblem(f"{path}: {error}") from error
    return _Reader(path, text).family(document)


class _Reader:
    """Holds the text beside the parsed document, so that every complaint can name its line."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()

    def family(self, document: dict[str, Any]) -> Family:
        self._only(document, _TOP_KEYS)
        name = self._text(document, "name")
        if not _NAME.fullmatch(name) or name != self._path.parent.name:
            raise self._problem("name", f"name must be the folder's own, {self._path.parent.name!r}: {name!r}")
        parts = document.get("parts", {})
        self._only(parts, set(PARTS))
        return Family(
            name=name,
            about=self._text(document, "about"),
            licence=self._text(document, "licence"),
            parts={part: self._folder(part, table) for part, table in parts.items()},
        )

    def _folder(self, part: str, table: dict[str, Any]) -> Path:
        self._only(table, _PART_KEYS)
        folder = self._path.parent / self._text(table, "folder")
        if not folder.is_dir():
            raise self._problem("folder", f"part {part}: no such folder: {folder}")
        return folder

    def _text(self, table: dict[str, Any], key: str) -> str:
        value = table.get(key)
        if not isinstance(value, str) or not value:
            raise self._problem(key, f"{key} must be a non-empty string: {value!r}")
        return value

    def _only(self, table: dict[str, Any], allowed: set[str]) -> None:
        for key in table:
            if key not in allowed:
                raise self._problem(key, f"unknown key {key!r}; known here: {', '.join(sorted(allowed))}")

    def _problem(self, key: str, text: str) -> SetupProblem:
        pattern = re.compile(rf"^\s*(\[.*\b{re.escape(key)}\]|{re.escape(key)}\s*=)")
        line = next((number for number, line in enumerate(self._lines, 1) if pattern.match(line)), None)
        where = f"{self._path}:{line}" if line else str(self._path)
        return SetupProblem(f"{where}: {text}")
