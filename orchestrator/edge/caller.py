"""Who asks, as an owner of pictures: a session, which a cookie proves. Never tells one caller of another.

The owner is a hash of the cookie, so that nobody who reads the database can be anybody's session.
"""

import hashlib
import re
import secrets

from starlette.requests import Request
from starlette.responses import Response

SESSION_COOKIE = "triptych_session"
NOBODY = "nobody"  # has no pictures and never will: whoever makes one becomes somebody first
_SESSION = re.compile(r"[0-9a-f]{32}")
_LASTS_S = 400 * 24 * 3600  # the longest that browsers keep a cookie


def caller(request: Request) -> str:
    """For what only looks."""
    session = _session_of(request)
    return _owner(session) if session else NOBODY


def creating_caller(request: Request, response: Response) -> str:
    """For what leaves something behind: a caller without a session gets one with the answer."""
    session = _session_of(request)
    if session is None:
        session = secrets.token_hex(16)
        response.set_cookie(
            SESSION_COOKIE,
            session,
            max_age=_LASTS_S,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
    return _owner(session)


def _session_of(request: Request) -> str | None:
    value = request.cookies.get(SESSION_COOKIE, "")
    return value if _SESSION.fullmatch(value) else None


def _owner(session: str) -> str:
    return f"session:{hashlib.sha256(session.encode()).hexdigest()}"
