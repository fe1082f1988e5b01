"""Who is asking: the id of the request in hand, and the trace it belongs to. Knows no web framework and no gRPC."""

import re
import uuid
from contextvars import ContextVar
from dataclasses import dataclass

_CLEAN_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# W3C Trace Context, version 00: trace id and parent id of all zeros are invalid.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True)
class RequestContext:
    request_id: str
    traceparent: str | None = None


NO_REQUEST = RequestContext(request_id="")
current_request: ContextVar[RequestContext] = ContextVar("current_request", default=NO_REQUEST)


def accept_context(request_id: str | None, traceparent: str | None) -> RequestContext:
    """Take over what a caller sent where it is well formed; make a new id where it is not."""
    kept_id = request_id if request_id and _CLEAN_REQUEST_ID.fullmatch(request_id) else str(uuid.uuid4())
    kept_trace = traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None
    return RequestContext(kept_id, kept_trace)
