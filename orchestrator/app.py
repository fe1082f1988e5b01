"""Puts the parts together. Everything it needs comes in as settings; only `__main__` imports it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

import orchestrator.analyze.router
import orchestrator.embeddings.router
import orchestrator.generate.router
import orchestrator.health.router
import orchestrator.home.router
import orchestrator.images.router
import orchestrator.models.router
import orchestrator.probe.router
import orchestrator.segment.router
import orchestrator.visualize.router
from orchestrator.edge.admission import Admission
from orchestrator.edge.body_limit import BodyLimit, BodyRules
from orchestrator.edge.head_as_get import HeadAsGet
from orchestrator.edge.leaving import install_leaving_handler
from orchestrator.edge.problems import install_error_handlers
from orchestrator.edge.request_scope import REQUEST_ID_HEADER, RequestScope
from orchestrator.edge.security_headers import SecurityHeaders
from orchestrator.family_file import read_concepts
from orchestrator.metrics import Metrics
from orchestrator.running import running_services
from orchestrator.schemas import error_components
from orchestrator.settings import Settings

_API = (
    orchestrator.health.router.router,
    orchestrator.models.router.router,
    orchestrator.generate.router.router,
    orchestrator.analyze.router.router,
    orchestrator.probe.router.router,
    orchestrator.segment.router.router,
    orchestrator.visualize.router.router,
    orchestrator.images.router.router,
    orchestrator.embeddings.router.router,
)
_ROOT_ONLY = (orchestrator.home.router.router, orchestrator.health.router.metrics_router)


def create_app(settings: Settings) -> FastAPI:
    metrics = Metrics()
    concepts = read_concepts(settings.families_folder, settings.family)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running_services(settings, concepts, metrics) as services:
            app.state.services = services
            yield

    app = FastAPI(
        title="Triptych",
        version=version("triptych"),
        lifespan=lifespan,
        openapi_url=None,  # our own routes for these, see home/router.py
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    _include_routers(app)
    _add_middleware(app, settings, metrics)
    install_error_handlers(app)
    install_leaving_handler(app)
    _describe_errors(app)
    return app


def _include_routers(app: FastAPI) -> None:
    """Everything but the front door and the metrics stands at the root and again under /api."""
    for router in (*_ROOT_ONLY, *_API):
        app.include_router(router)
    for router in _API:
        app.include_router(router, prefix="/api", include_in_schema=False)


def _add_middleware(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """The last one added is the outermost."""
    body_rules = BodyRules(settings.body_limit_bytes, settings.bodies_limit_bytes, settings.body_deadline_s)
    app.add_middleware(BodyLimit, rules=body_rules)
    app.add_middleware(HeadAsGet)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", REQUEST_ID_HEADER],
            expose_headers=[REQUEST_ID_HEADER, "Retry-After"],
        )
    app.add_middleware(Admission, names=(settings.host, *settings.allowed_hosts))
    app.add_middleware(RequestScope, metrics=metrics)
    app.add_middleware(SecurityHeaders)


def _describe_errors(app: FastAPI) -> None:
    """Adds the error schemas, which no route returns as its model, to the OpenAPI description."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        schema = generate()
        schema.setdefault("components", {}).setdefault("schemas", {}).update(error_components())
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
