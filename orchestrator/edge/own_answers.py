"""FastAPI hands on what dependencies have set, such as a new session's cookie, only to answers that it makes itself."""

from typing import TypeVar

from starlette.responses import Response

Own = TypeVar("Own", bound=Response)


def with_headers_of(made_by_framework: Response, ours: Own) -> Own:
    ours.raw_headers.extend(made_by_framework.raw_headers)
    return ours
