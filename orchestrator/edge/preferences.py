"""RFC 7240: what a client would like, if it is no trouble."""

from starlette.requests import Request

RESPOND_ASYNC = "respond-async"


def prefers_async(request: Request) -> bool:
    """`Prefer: respond-async`, alone or among others. How long a client would wait (`wait=`) is not looked at."""
    wishes = ",".join(request.headers.getlist("prefer")).split(",")
    return any(wish.partition(";")[0].strip(" \t").lower() == RESPOND_ASYNC for wish in wishes)
