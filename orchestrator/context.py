"""Who is asking: the id of the request in hand, its trace, and how long others worked for it.

Knows no web framework and no gRPC.
"""

import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field

_CLEAN_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# W3C Trace Context, version 00: trace id and parent id of all zeros are invalid.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Upstream:
    """How long at least one call to Triton was in flight for a request: calls at the same time count once."""

    def __init__(self) -> None:
        self._open = 0
        self._since_s = 0.0
        self._seconds = 0.0

    @property
    def seconds(self) -> float:
        return self._seconds + (time.monotonic() - self._since_s if self._open else 0.0)

    def begins(self) -> None:
        if not self._open:
            self._since_s = time.monotonic()
        self._open += 1

    def ends(self) -> None:
        self._open -= 1
        if not self._open:
            self._seconds += time.monotonic() - self._since_s


@dataclass(frozen=True)
class RequestContext:
    request_id: str
    traceparent: str | None = None
    upstream: Upstream = field(default_factory=Upstream, compare=False)


NO_REQUEST = RequestContext(request_id="")
current_request: ContextVar[RequestContext] = ContextVar("current_request", default=NO_REQUEST)


def accept_context(request_id: str | None, traceparent: str | None) -> RequestContext:
    """Take over what a caller sent where it is well formed; make a new id where it is not."""
    kept_id = request_id if request_id and _CLEAN_REQUEST_ID.fullmatch(request_id) else str(uuid.uuid4())
    kept_trace = traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None
    return RequestContext(kept_id, kept_trace)
