"""What lives as long as the app does: the channel to Triton and everything that uses it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from modelcore.catalog import CATALOG, PROBES
from modelcore.family import Concepts
from orchestrator.analyze.service import Analyze
from orchestrator.embeddings.service import Embeddings
from orchestrator.gallery.service import Gallery
from orchestrator.generate.service import Generate
from orchestrator.health.service import Health
from orchestrator.lasting import places_of, rules_of, running_lasting
from orchestrator.metrics import Metrics
from orchestrator.models.service import Models
from orchestrator.pictures.callers import CallersPictures
from orchestrator.pictures.understanding import Understanding, UnderstandingRules
from orchestrator.probe.service import Probe
from orchestrator.segment.service import Segment
from orchestrator.settings import Settings
from orchestrator.triton import Triton, open_channel
from orchestrator.visualize.service import Visualize
from orchestrator.watchdog.repairs import RepairRules, Repairs
from orchestrator.watchdog.supervisor import Supervisor
from orchestrator.watchdog.watch import Watchdog, WatchRules
from orchestrator.worker import job_handlers


@dataclass(frozen=True)
class Services:
    embeddings: Embeddings
    health: Health
    models: Models
    metrics: Metrics
    analyze: Analyze
    probe: Probe
    segment: Segment
    visualize: Visualize
    generate: Generate
    gallery: Gallery
    pictures: CallersPictures


@asynccontextmanager
async def running_services(settings: Settings, concepts: Concepts, metrics: Metrics) -> AsyncIterator[Services]:
    handlers = job_handlers()
    # Where there is Redis, workers do the jobs; without any kind of job there is nothing to do anywhere.
    slots = settings.job_slots if handlers and settings.redis_url is None else 0
    async with (
        running_lasting(places_of(settings), handlers, slots, rules_of(settings)) as lasting,
        _running_triton(settings, metrics) as (triton, watchdog),
    ):
        about = Understanding(triton, concepts, UnderstandingRules(), metrics)
        analyze = Analyze(about)
        yield Services(
            embeddings=Embeddings(triton, settings.family, settings.embeddings_deadline_s),
            health=Health(triton, CATALOG, watchdog, settings.health_deadline_s),
            models=Models(triton, CATALOG, settings.family, settings.health_deadline_s),
            metrics=metrics,
            analyze=analyze,
            probe=Probe(about),
            segment=Segment(about),
            visualize=Visualize(about, observer=metrics),
            generate=Generate(triton, lasting.gallery, analyze, settings.family, settings.generate_deadline_s),
            gallery=lasting.gallery,
            pictures=CallersPictures(lasting.gallery),
        )


@asynccontextmanager
async def _running_triton(settings: Settings, metrics: Metrics) -> AsyncIterator[tuple[Triton, Watchdog]]:
    """The channel, and the watchdog beside it."""
    channel = open_channel(settings.triton_address, settings.triton_keepalive_s)
    names = tuple(model.name for model in CATALOG)
    # The watchdog's own calls are watched by nobody: they are no traffic, and must not wake it.
    watchdog = _watchdog(Triton(channel, names), settings, metrics)
    triton = Triton(channel, names, observers=(metrics, watchdog))
    guard = asyncio.create_task(watchdog.run(), name="watchdog")
    try:
        yield triton, watchdog
    finally:
        guard.cancel()
        with suppress(asyncio.CancelledError):
            await guard
        await channel.close()


def _watchdog(triton: Triton, settings: Settings, metrics: Metrics) -> Watchdog:
    socket = settings.supervisor_socket
    repairs = Repairs(
        triton,
        Supervisor(socket, settings.watchdog_load_deadline_s) if socket else None,
        RepairRules(
            load_deadline_s=settings.watchdog_load_deadline_s,
            retry_pause_s=settings.watchdog_retry_pause_s,
            restart_after=settings.watchdog_restart_after,
            restart_after_repairs=settings.watchdog_restart_after_repairs,
            restart_pause_s=settings.watchdog_restart_pause_s,
        ),
        count=metrics.repaired,
    )
    rules = WatchRules(
        interval_s=settings.watchdog_interval_s,
        probe_deadline_s=settings.watchdog_probe_deadline_s,
        statistics_deadline_s=settings.health_deadline_s,
        hung_after_s=settings.watchdog_hung_after_s,
    )
    return Watchdog(triton, CATALOG, repairs, rules, probes=PROBES)
