"""Where a page ended, as a text that a client hands back.

Pages go from the newest to the oldest, by time and id, so that rows that come in meanwhile shift nothing.
"""

import base64
import binascii
import re
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import InstrumentedAttribute

from modelcore.errors import InvalidInput

_PLAIN = re.compile(rb"(\d{1,15}):([0-9a-f-]{36})")


def write_cursor(created_at_ms: int, row_id: str) -> str:
    return base64.urlsafe_b64encode(f"{created_at_ms}:{row_id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[int, str]:
    try:
        plain = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        plain = b""
    match = _PLAIN.fullmatch(plain)
    if match is None:
        raise InvalidInput("the cursor is not one that a page gave", field="cursor")
    return int(match[1]), match[2].decode()


def older_than(
    cursor: str, created_at_ms: InstrumentedAttribute[int], row_id: InstrumentedAttribute[str]
) -> ColumnElement[bool]:
    at_ms, last_id = read_cursor(cursor)
    return or_(created_at_ms < at_ms, and_(created_at_ms == at_ms, row_id < last_id))


def newest_first(created_at_ms: InstrumentedAttribute[int], row_id: InstrumentedAttribute[str]) -> tuple[Any, Any]:
    return created_at_ms.desc(), row_id.desc()
