"""Who asks, as an owner of pictures: an API key's holder, or a session, which a cookie proves.

The owner is the key's id, or a hash of the cookie, so that nobody who reads the database can be anybody's session.
Never tells one caller of another.
"""

import hashlib
import re
import secrets

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from modelcore.errors import InvalidInput
from orchestrator.jobs.idempotency import FIELD
from orchestrator.jobs.service import SESSION_OWNER
from orchestrator.keys.service import ApiKey

SESSION_COOKIE = "triptych_session"
NOBODY = "nobody"  # has no pictures and never will: whoever makes one becomes somebody first
_KEY = "triptych.api_key"
_UNGUESSABLE = 16
_SESSION = re.compile(r"[0-9a-f]{32}")
_LASTS_S = 400 * 24 * 3600  # the longest that browsers keep a cookie


def take_key(scope: Scope, key: ApiKey | None) -> None:
    """For access.py alone, which has proved it."""
    scope[_KEY] = key


def key_of(scope: Scope) -> ApiKey | None:
    key: ApiKey | None = scope.get(_KEY)
    return key


async def caller(request: Request) -> str:
    """For what only looks."""
    key, session = key_of(request.scope), _session_of(request)
    if key is not None:
        return key.owner
    return _owner(session) if session else NOBODY


async def creating_caller(request: Request, response: Response) -> str:
    """For what leaves something behind: a caller without key and session gets a session with the answer."""
    key, session = key_of(request.scope), _session_of(request)
    if key is not None:
        return key.owner
    if session is None:
        session = _new_session(request)
        response.set_cookie(
            SESSION_COOKIE,
            session,
            max_age=_LASTS_S,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
    return _owner(session)


def _new_session(request: Request) -> str:
    """A retry after a lost answer, and with it a lost cookie, must come from the same caller, or its key is useless."""
    key = request.headers.get(FIELD)
    if key is None:
        return secrets.token_hex(16)
    if len(key) < _UNGUESSABLE:
        detail = f"from a caller without a session or an API key, {FIELD} must have {_UNGUESSABLE} characters or more"
        raise InvalidInput(f"{detail}, such as a UUID", field=FIELD)
    return hashlib.sha256(b"session of " + key.encode()).hexdigest()[:32]


def _session_of(request: Request) -> str | None:
    value = request.cookies.get(SESSION_COOKIE, "")
    return value if _SESSION.fullmatch(value) else None


def _owner(session: str) -> str:
    return f"{SESSION_OWNER}{hashlib.sha256(session.encode()).hexdigest()}"
