"""GET /, /docs and /openapi.json."""

from collections.abc import Iterator

from fastapi import APIRouter, FastAPI, Request
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


@router.get("/")
async def describe(request: Request) -> Home:
    """What this server is, and everything it answers to."""
    app: FastAPI = request.app
    return Home(name=app.title, version=app.version, endpoints=list(_endpoints(app)))


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
async def read_docs(request: Request) -> HTMLResponse:
    """Every endpoint and every schema on one page."""
    page = render_docs(request.app.openapi())
    return HTMLResponse(page, headers={"Content-Security-Policy": PAGE_POLICY})


@router.get("/openapi.json", include_in_schema=False)
async def read_openapi(request: Request) -> JSONResponse:
    """FastAPI's own route for this has no template, which metrics and logs need."""
    return JSONResponse(request.app.openapi())


def _endpoints(app: FastAPI) -> Iterator[Endpoint]:
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield Endpoint(method=method.upper(), path=path, summary=operation["summary"])
