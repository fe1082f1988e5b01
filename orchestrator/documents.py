"""The pages of docs/ that are made from the code: settings.md and openapi.json.

python -m orchestrator.documents --write    writes them; so does `make configs`
python -m orchestrator.documents --check    fails where one has drifted; so does `make check`
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo

from orchestrator.app import create_app
from orchestrator.settings import PREFIX, Settings

_PROJECT = Path(__file__).resolve().parent.parent
SETTINGS_PAGE = _PROJECT / "docs" / "settings.md"
OPENAPI_PAGE = _PROJECT / "docs" / "openapi.json"


def render_pages() -> dict[Path, str]:
    return {SETTINGS_PAGE: render_settings(), OPENAPI_PAGE: render_openapi()}


def render_openapi() -> str:
    """What a server with default settings says of itself, whatever the environment here."""
    settings = Settings.model_construct(families_folder=_PROJECT / "families")
    return json.dumps(create_app(settings).openapi(), indent=1, ensure_ascii=False) + "\n"


def render_settings() -> str:
    return "\n".join(
        [
            "# Settings of the orchestrator",
            "",
            "Generated from `orchestrator/settings.py` by `make configs`. Do not edit.",
            "All of them are environment variables.",
            "",
            "| variable | default | what it is |",
            "| --- | --- | --- |",
            *(_row(name, field) for name, field in Settings.model_fields.items()),
            "",
        ]
    )


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{PREFIX}{name.upper()}` | {_shown(field.default)} | {field.description} |"


def _shown(default: object) -> str:
    if default is None or default == ():
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def drifted() -> Iterator[str]:
    for path, page in render_pages().items():
        if not path.is_file() or path.read_text(encoding="utf-8") != page:
            yield f"{path.relative_to(_PROJECT)} is not what the code says; `make configs` writes it again\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m orchestrator.documents")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write them")
    action.add_argument("--check", action="store_true", help="exit 1 when one has drifted")
    if parser.parse_args().write:
        for path, page in render_pages().items():
            path.write_text(page, encoding="utf-8")
        return 0
    complaints = list(drifted())
    sys.stderr.writelines(complaints)
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
