"""Where a page ended, as a text that a client hands back.

Pages go from the newest to the oldest by time and id, or from the most alike by score and id, so that rows that come in
meanwhile shift nothing.
"""

import base64
import binascii
import re
from typing import Any

from sqlalchemy import ColumnElement, and_, or_
from sqlalchemy.orm import InstrumentedAttribute

from modelcore.errors import InvalidInput

SCORE_DIGITS = 6
_BY_TIME = re.compile(rb"(\d{1,15}):([0-9a-f-]{36})")
_BY_SCORE = re.compile(rb"(-?[01]\.\d{%d}):([0-9a-f-]{36})" % SCORE_DIGITS)


def write_cursor(created_at_ms: int, row_id: str) -> str:
    return _written(f"{created_at_ms}:{row_id}")


def read_cursor(cursor: str) -> tuple[int, str]:
    at_ms, row_id = _read(cursor, _BY_TIME)
    return int(at_ms), row_id


def write_score_cursor(score: float, row_id: str) -> str:
    """The score must have been rounded to as many digits, so that it comes back as it was."""
    return _written(f"{score:.{SCORE_DIGITS}f}:{row_id}")


def read_score_cursor(cursor: str) -> tuple[float, str]:
    score, row_id = _read(cursor, _BY_SCORE)
    return float(score), row_id


def _written(plain: str) -> str:
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _read(cursor: str, form: re.Pattern[bytes]) -> tuple[bytes, str]:
    try:
        plain = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        plain = b""
    match = form.fullmatch(plain)
    if match is None:
        raise InvalidInput("the cursor is not one that such a page gave", field="cursor")
    return match[1], match[2].decode()


def older_than(
    cursor: str, created_at_ms: InstrumentedAttribute[int], row_id: InstrumentedAttribute[str]
) -> ColumnElement[bool]:
    at_ms, last_id = read_cursor(cursor)
    return or_(created_at_ms < at_ms, and_(created_at_ms == at_ms, row_id < last_id))


def newest_first(created_at_ms: InstrumentedAttribute[int], row_id: InstrumentedAttribute[str]) -> tuple[Any, Any]:
    return created_at_ms.desc(), row_id.desc()
