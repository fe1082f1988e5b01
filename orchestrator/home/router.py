"""GET /, /docs and /openapi.json: made once, for each would hold up the event loop for some milliseconds."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel

from orchestrator.home.docs_page import PAGE_POLICY, render_docs

router = APIRouter(tags=["Home"])


class Endpoint(BaseModel):
    method: str
    path: str
    summary: str


class Home(BaseModel):
    name: str
    version: str
    endpoints: list[Endpoint]


@dataclass(frozen=True)
class Pages:
    home: bytes
    docs: bytes
    openapi: bytes


@functools.lru_cache(maxsize=1)
def pages_of(app: FastAPI) -> Pages:
    home = Home(name=app.title, version=app.version, endpoints=list(_endpoints(app)))
    description = app.openapi()
    return Pages(
        home=home.model_dump_json().encode(),
        docs=render_docs(description).encode(),
        openapi=bytes(JSONResponse(description).body),
    )


@router.get("/", response_model=Home)
async def describe(request: Request) -> Response:
    """What this server is, and everything it answers to."""
    return Response(pages_of(request.app).home, media_type="application/json")


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
async def read_docs(request: Request) -> HTMLResponse:
    """Every endpoint and every schema on one page."""
    return HTMLResponse(pages_of(request.app).docs, headers={"Content-Security-Policy": PAGE_POLICY})


@router.get("/openapi.json", include_in_schema=False)
async def read_openapi(request: Request) -> Response:
    """FastAPI's own route for this has no template, which metrics and logs need."""
    return Response(pages_of(request.app).openapi, media_type="application/json")


def _endpoints(app: FastAPI) -> Iterator[Endpoint]:
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield Endpoint(method=method.upper(), path=path, summary=operation["summary"])
