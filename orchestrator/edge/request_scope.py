"""Every request gets an id, a log line, a place in the metrics, and an answer come what may."""

import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.context import accept_context, current_request
from orchestrator.edge.problems import problem_response
from orchestrator.errors import internal_problem
from orchestrator.metrics import Metrics

REQUEST_ID_HEADER = "X-Request-ID"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_log = structlog.stdlib.get_logger("orchestrator.access")


class RequestScope:
    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        context = accept_context(headers.get(REQUEST_ID_HEADER), headers.get("traceparent"))
        token = current_request.set(context)
        try:
            await self._serve(scope, receive, send)
        finally:
            current_request.reset(token)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_s = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = current_request.get().request_id
                headers["Server-Timing"] = _timing(time.monotonic() - started_s)
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            # The edge of the process: whatever went wrong is ours, and the client learns only its id.
            _log.exception("unhandled error")
            if status:
                raise  # half an answer is out; only closing the connection can tell the client
            await problem_response(scope["path"], internal_problem())(scope, receive, send_with_id)
        finally:
            self._record(scope, status, time.monotonic() - started_s)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        """A status of 0 is a client that left before it was answered."""
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = route_template(scope)
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.request_seconds.labels(method, route).observe(seconds)
        upstream_ms = round(current_request.get().upstream.seconds * 1000, 1)
        ms = round(seconds * 1000, 1)
        _log.info("request", method=method, route=route, status=status, ms=ms, triton_ms=upstream_ms)


def _timing(seconds: float) -> str:
    """As browsers show it: all of the time so far, and the part of it in which Triton had work of this request."""
    upstream_s = current_request.get().upstream.seconds
    return f"total;dur={seconds * 1000:.1f}, triton;dur={upstream_s * 1000:.1f}"


def route_template(scope: Scope) -> str:
    """The path as it was declared. The copy of a route under /api counts as the route itself."""
    return getattr(scope.get("route"), "path", None) or "unmatched"
