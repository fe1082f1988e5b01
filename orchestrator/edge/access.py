"""The one guard of every address: whose API key a request comes with, and how many requests a minute they may send.

Deny by default: where keys are needed, nothing but what `is_open` answers without one, not even that there is nothing.
It asks before a byte of the body is read. What a key may do is checked where the route is known: see scopes.py.
"""

import re
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelcore.errors import KeyRefused, TriptychError
from orchestrator.edge.caller import take_key
from orchestrator.edge.problems import problem_response
from orchestrator.errors import problem_of
from orchestrator.keys.limits import Rate, RateLimiter, TooFast
from orchestrator.keys.service import ApiKey, Keys

# What a stranger may see: that this is a Triptych, how it is asked, and whether it is up. Nobody's key is looked at
# here, so that whoever watches over this process hears from it even while the database hangs.
_HEALTH = ("/health/live", "/health/ready")
OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", *_HEALTH, *(f"/api{path}" for path in _HEALTH)})
# What follows is a secret of its own, which opens one picture for an hour: see openai_images/links.py.
OPEN_FOLDERS = ("/v1/images/files/", "/api/v1/images/files/")
_BEARER = re.compile(r"bearer +(?P<token>\S+)", re.IGNORECASE)


def is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


@dataclass(frozen=True)
class AccessRules:
    keys_are_needed: bool
    requests_per_minute_without_key: int | None


class Access:
    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules
        self._limiter = RateLimiter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            key = await self._key(scope)
            rate = self._admit(key, scope)
        except TriptychError as error:
            sending = _with_rate(send, error.rate if isinstance(error, TooFast) else None)
            await problem_response(scope["path"], problem_of(error))(scope, receive, sending)
            return
        take_key(scope, key)
        await self._app(scope, receive, _with_rate(send, rate))

    async def _key(self, scope: Scope) -> ApiKey | None:
        token = _token(Headers(scope=scope).getlist("authorization"))
        if token is None and self._rules.keys_are_needed:
            raise KeyRefused("an API key is needed: send it as `Authorization: Bearer tt_...`")
        if token is None or not (self._rules.keys_are_needed or token.startswith("tt_")):
            return None
        keys: Keys = scope["app"].state.services.keys
        key = await keys.authenticate(token)
        if key is None:
            raise KeyRefused("this API key is none of ours, or no longer valid")
        return key

    def _admit(self, key: ApiKey | None, scope: Scope) -> Rate | None:
        if key is not None:
            return self._limiter.admit(key.owner, key.requests_per_minute)
        # Not by the cookie, which anybody makes up as often as they like.
        address = (scope.get("client") or ("unknown", 0))[0]
        return self._limiter.admit(f"address:{address}", self._rules.requests_per_minute_without_key)


def _token(headers: list[str]) -> str | None:
    """None where nothing was sent that could be a key: other programs' credentials are not ours to judge."""
    if len(headers) > 1:
        raise KeyRefused("there is more than one Authorization header")
    match = _BEARER.fullmatch(headers[0].strip(" \t")) if headers else None
    return match["token"] if match else None


def _with_rate(send: Send, rate: Rate | None) -> Send:
    if rate is None:
        return send

    async def send_with_rate(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["RateLimit-Limit"] = str(rate.limit)
            headers["RateLimit-Remaining"] = str(rate.remaining)
            headers["RateLimit-Reset"] = str(rate.reset_s)
        await send(message)

    return send_with_rate
