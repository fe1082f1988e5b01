"""Who is let in: requests in an HTTP we speak, addressed to a name that is ours.

A page in the user's own browser can point its name at 127.0.0.1 and then read this API as if it were its own server
(DNS rebinding). The Host header still has the page's name, so a name that is not ours is refused.
"""

import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.edge.problems import problem_response
from orchestrator.errors import Problem, shortened

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
_VERSIONS = {"1.0", "1.1"}
_HOST = re.compile(r"(?:\[(?P<literal>[0-9a-f:.]+)\]|(?P<name>[^:\[\]]+))(?::\d{1,5})?")


class Admission:
    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = {name.lower() for name in (*LOOPBACK_NAMES, *names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem_response(scope["path"], problem)(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        closing = {"Connection": "close"}  # whatever else comes on this connection is not for us either
        if scope.get("http_version", "1.1") not in _VERSIONS:
            detail = "This server speaks HTTP/1.1 and HTTP/1.0."
            return Problem(505, "HTTP version not supported", "http_version_not_supported", detail, headers=closing)
        host = Headers(scope=scope).get("host")
        if host is None or self._is_ours(host):  # only HTTP/1.0 may leave it out, which no browser speaks
            return None
        detail = f"This server does not go by the name {shortened(host)!r}; TRIPTYCH_ALLOWED_HOSTS adds names."
        return Problem(421, "Misdirected request", "unknown_host", detail, headers=closing)

    def _is_ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host.lower())
        return match is not None and (match["literal"] or match["name"]) in self._names
