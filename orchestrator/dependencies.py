"""How a route gets at the services: FastAPI's side of `running.py`."""

from typing import Annotated

from fastapi import Depends, Request

from orchestrator.analyze.service import Analyze
from orchestrator.edge.caller import caller, creating_caller
from orchestrator.embeddings.service import Embeddings
from orchestrator.gallery.service import Gallery
from orchestrator.gallery.similar import Similar
from orchestrator.generate.service import Generate
from orchestrator.health.service import Health
from orchestrator.jobs.idempotency import Idempotency
from orchestrator.jobs.service import Jobs
from orchestrator.metrics import Metrics
from orchestrator.models.service import Models
from orchestrator.openai_images.links import Links
from orchestrator.openai_images.service import OpenAIImages
from orchestrator.pictures.callers import CallersPictures
from orchestrator.probe.service import Probe
from orchestrator.running import Services
from orchestrator.segment.service import Segment
from orchestrator.variations.service import Variations
from orchestrator.visualize.service import Visualize
from orchestrator.work.intake import Intake

Caller = Annotated[str, Depends(caller)]
CreatingCaller = Annotated[str, Depends(creating_caller)]


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


def analyze_service(request: Request) -> Analyze:
    return _services(request).analyze


def probe_service(request: Request) -> Probe:
    return _services(request).probe


def segment_service(request: Request) -> Segment:
    return _services(request).segment


def visualize_service(request: Request) -> Visualize:
    return _services(request).visualize


def generate_service(request: Request) -> Generate:
    return _services(request).generate


def gallery_service(request: Request) -> Gallery:
    return _services(request).gallery


def similar_service(request: Request) -> Similar:
    return _services(request).similar


def callers_pictures(request: Request) -> CallersPictures:
    return _services(request).pictures


def jobs_service(request: Request) -> Jobs:
    return _services(request).jobs


def intake(request: Request) -> Intake:
    return _services(request).intake


def idempotency(request: Request) -> Idempotency:
    return _services(request).idempotency


def variations_service(request: Request) -> Variations:
    return _services(request).variations


def openai_images(request: Request) -> OpenAIImages:
    return _services(request).openai_images


def links(request: Request) -> Links:
    return _services(request).links
