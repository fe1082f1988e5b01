"""How a route gets at the services: FastAPI's side of `running.py`."""

from fastapi import Request

from orchestrator.embeddings.service import Embeddings
from orchestrator.health.service import Health
from orchestrator.metrics import Metrics
from orchestrator.models.service import Models
from orchestrator.running import Services


def _services(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


def embeddings_service(request: Request) -> Embeddings:
    return _services(request).embeddings


def health_service(request: Request) -> Health:
    return _services(request).health


def models_service(request: Request) -> Models:
    return _services(request).models


def metrics_of(request: Request) -> Metrics:
    return _services(request).metrics
