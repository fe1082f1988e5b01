"""What a request may say before its body: how much, in how many headers, and nothing twice.

While a head comes in pieces h11 bounds it (see connection.py); one that comes at once it lets through whole.
"""

from dataclasses import replace
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from modelcore.errors import InvalidInput, Malformed, TriptychError, UnsupportedFormat
from orchestrator.edge.problems import problem_response
from orchestrator.edge.strict_json import has_control_characters
from orchestrator.errors import Problem, problem_of, shortened

MAX_HEAD_BYTES = 16 * 1024
MAX_HEADERS = 100
MAX_TARGET_BYTES = 8 * 1024
_MAX_QUERY_FIELDS = 100


class HeadLimits:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = _problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem_response(scope["path"], problem)(scope, receive, send)


def head_too_large() -> Problem:
    detail = f"the headers of a request may have {MAX_HEAD_BYTES} bytes"
    return Problem(431, "Headers too large", "headers_too_large", detail, headers={"Connection": "close"})


def _problem(scope: Scope) -> Problem | None:
    if len(scope["headers"]) > MAX_HEADERS:
        detail = f"a request may have {MAX_HEADERS} headers"
        return Problem(431, "Too many headers", "too_many_headers", detail, headers={"Connection": "close"})
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD_BYTES:
        return head_too_large()
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_TARGET_BYTES:
        detail = f"an address may have {MAX_TARGET_BYTES} bytes"
        return Problem(414, "Address too long", "address_too_long", detail, headers={"Connection": "close"})
    try:
        _check_body_headers(Headers(scope=scope))
    except TriptychError as error:
        return replace(problem_of(error), headers={"Connection": "close"})  # nobody knows what comes after the head
    try:
        _check_query(scope["query_string"])
    except TriptychError as error:
        return problem_of(error)
    return None


def _check_body_headers(headers: Headers) -> None:
    if "content-length" in headers and "transfer-encoding" in headers:
        # Two readers of one connection could disagree where the next request begins.
        raise Malformed("a body has a Content-Length or a Transfer-Encoding, not both")
    if len(headers.getlist("content-type")) > 1:
        raise Malformed("there is more than one Content-Type header")
    encoding = headers.get("content-encoding", "identity")
    if encoding.strip(" \t").lower() != "identity":
        raise UnsupportedFormat(f"send the body as it is, without Content-Encoding: {shortened(encoding)!r}")


def _check_query(query: bytes) -> None:
    try:
        fields = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS
        )
    except UnicodeDecodeError:
        raise Malformed("the query is not UTF-8") from None
    except ValueError:
        raise Malformed(f"a query may have {_MAX_QUERY_FIELDS} fields") from None
    if len(dict(fields)) != len(fields):
        raise Malformed("the query names a field twice")
    for name, value in fields:
        if has_control_characters(name + value):
            shown = shortened(name) if not has_control_characters(name) else "query"
            raise InvalidInput(f"{shown} must not contain control characters", field=shown)
