"""How a route gets at the services: FastAPI's side of `running.py`.

None of these waits for anything, and all are `async`: a plain function would be run in a thread, ten threads a request.
"""

from typing import Annotated

from fastapi import Depends, Request

from orchestrator.analyze.service import Analyze
from orchestrator.edge.caller import caller, creating_caller
from orchestrator.embeddings.service import Embeddings
from orchestrator.gallery.service import Gallery
from orchestrator.gallery.similar import Similar
from orchestrator.generate.service import Generate
from orchestrator.health.service import Health
from orchestrator.job_routes.intake import Intake
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

Caller = Annotated[str, Depends(caller)]
CreatingCaller = Annotated[str, Depends(creating_caller)]


def _services(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


async def embeddings_service(request: Request) -> Embeddings:
    return _services(request).embeddings


async def health_service(request: Request) -> Health:
    return _services(request).health


async def models_service(request: Request) -> Models:
    return _services(request).models


async def metrics_of(request: Request) -> Metrics:
    return _services(request).metrics


async def analyze_service(request: Request) -> Analyze:
    return _services(request).analyze


async def probe_service(request: Request) -> Probe:
    return _services(request).probe


async def segment_service(request: Request) -> Segment:
    return _services(request).segment


async def visualize_service(request: Request) -> Visualize:
    return _services(request).visualize


async def generate_service(request: Request) -> Generate:
    return _services(request).generate


async def gallery_service(request: Request) -> Gallery:
    return _services(request).gallery


async def similar_service(request: Request) -> Similar:
    return _services(request).similar


async def callers_pictures(request: Request) -> CallersPictures:
    return _services(request).pictures


async def jobs_service(request: Request) -> Jobs:
    return _services(request).jobs


async def intake(request: Request) -> Intake:
    return _services(request).intake


async def idempotency(request: Request) -> Idempotency:
    return _services(request).idempotency


async def variations_service(request: Request) -> Variations:
    return _services(request).variations


async def openai_images(request: Request) -> OpenAIImages:
    return _services(request).openai_images


async def links(request: Request) -> Links:
    return _services(request).links
