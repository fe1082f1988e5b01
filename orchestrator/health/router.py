"""GET /health, /health/live, /health/ready and /metrics."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from modelcore.errors import Unavailable
from orchestrator.dependencies import health_service, metrics_of
from orchestrator.edge.scopes import needs
from orchestrator.health.schemas import HealthSummary, Live, ModelState, Ready
from orchestrator.health.service import Health
from orchestrator.metrics import Metrics
from orchestrator.schemas import problem_responses

router = APIRouter(tags=["Health"])
metrics_router = APIRouter(tags=["Health"])


@router.get("/health")
@needs("read")
async def summarize(service: Annotated[Health, Depends(health_service)]) -> HealthSummary:
    """Every model with its state."""
    models = [
        ModelState(name=model.name, ready=model.is_ready, problems=list(model.problems))
        for model in await service.check()
    ]
    all_ready = all(model.ready for model in models)
    return HealthSummary(status="healthy" if all_ready else "degraded", models=models)


@router.get("/health/live")
async def is_live() -> Live:
    """This process runs and answers; says nothing of Triton."""
    return Live()


@router.get("/health/ready", responses=problem_responses(503))
async def is_ready(service: Annotated[Health, Depends(health_service)]) -> Ready:
    """Every model is loaded and is what the catalog says; otherwise 503 with each difference."""
    problems = [problem for model in await service.check() for problem in model.problems]
    if problems:
        raise Unavailable("not ready: " + "; ".join(problems), retry_after_s=2)
    return Ready()


@metrics_router.get("/metrics", response_class=Response, include_in_schema=False)
@needs("read")
async def read_metrics(
    metrics: Annotated[Metrics, Depends(metrics_of)],
    service: Annotated[Health, Depends(health_service)],
) -> Response:
    """In Prometheus's text format. Readiness is asked for on the spot, so it is never stale."""
    metrics.models_ready.set(sum(model.is_ready for model in await service.check()))
    return Response(metrics.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
