"""Puts the parts together. Everything it needs comes in as settings; only `__main__` imports it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

import orchestrator.analyze.router
import orchestrator.embeddings.router
import orchestrator.generate.router
import orchestrator.health.router
import orchestrator.home.router
import orchestrator.images.router
import orchestrator.job_routes.router
import orchestrator.models.router
import orchestrator.openai_images.router
import orchestrator.probe.router
import orchestrator.segment.router
import orchestrator.stories.router
import orchestrator.variations.router
import orchestrator.visualize.router
from orchestrator.edge.access import Access, AccessRules
from orchestrator.edge.admission import Admission
from orchestrator.edge.body_limit import BodyLimit, BodyRules
from orchestrator.edge.description import complete_description
from orchestrator.edge.head_as_get import HeadAsGet
from orchestrator.edge.head_limits import HeadLimits
from orchestrator.edge.leaving import install_leaving_handler
from orchestrator.edge.problems import install_error_handlers
from orchestrator.edge.request_scope import REQUEST_ID_HEADER, RequestScope
from orchestrator.edge.scopes import check_scope
from orchestrator.edge.security_headers import SecurityHeaders
from orchestrator.family_file import read_concepts, read_painting
from orchestrator.metrics import Metrics
from orchestrator.running import running_services
from orchestrator.settings import Settings

_API = (
    orchestrator.health.router.router,
    orchestrator.models.router.router,
    orchestrator.generate.router.router,
    orchestrator.variations.router.router,
    orchestrator.analyze.router.router,
    orchestrator.probe.router.router,
    orchestrator.segment.router.router,
    orchestrator.visualize.router.router,
    orchestrator.images.router.router,
    orchestrator.job_routes.router.router,
    orchestrator.stories.router.router,
    orchestrator.embeddings.router.router,
    orchestrator.openai_images.router.router,
)
_ROOT_ONLY = (orchestrator.home.router.router, orchestrator.health.router.metrics_router)
# What a page of a listed origin may send beyond the ordinary, and read of an answer.
_HEADERS_OF_PAGES = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Prefer", REQUEST_ID_HEADER)
_HEADERS_FOR_PAGES = (
    *(REQUEST_ID_HEADER, "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    *("ETag", "Location", "Preference-Applied", "Idempotent-Replayed"),
)


def create_app(settings: Settings) -> FastAPI:
    metrics = Metrics()
    concepts = read_concepts(settings.families_folder, settings.family)
    diffusion = read_painting(settings.families_folder, settings.family)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running_services(settings, concepts, diffusion, metrics) as services:
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
        dependencies=[Depends(check_scope)],
    )
    _include_routers(app)
    _add_middleware(app, settings, metrics)
    install_error_handlers(app)
    install_leaving_handler(app)
    complete_description(app, keys_are_needed=settings.keys_are_needed)
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
    access_rules = AccessRules(settings.keys_are_needed, settings.requests_per_minute_without_key)
    app.add_middleware(Access, rules=access_rules)
    app.add_middleware(BodyLimit, rules=body_rules)
    app.add_middleware(HeadAsGet)
    app.add_middleware(HeadLimits)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=_HEADERS_OF_PAGES,
            expose_headers=_HEADERS_FOR_PAGES,
        )
    app.add_middleware(Admission, names=(settings.host, *settings.allowed_hosts))
    app.add_middleware(RequestScope, metrics=metrics)
    app.add_middleware(SecurityHeaders)
