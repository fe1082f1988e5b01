"""What lives as long as the app does: the channel to Triton and everything that uses it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from modelcore.catalog import CATALOG, PROBES
from modelcore.family import Concepts, Diffusion
from orchestrator.analyze.service import Analyze
from orchestrator.embeddings.service import Embeddings
from orchestrator.gallery.embedding import EmbeddingUpkeep
from orchestrator.gallery.service import Gallery
from orchestrator.gallery.similar import Similar
from orchestrator.generate.estimate import Estimator
from orchestrator.generate.painter import Painter
from orchestrator.generate.service import Generate
from orchestrator.health.service import Health
from orchestrator.job_routes.intake import Intake
from orchestrator.jobs.idempotency import Idempotency
from orchestrator.jobs.service import Jobs
from orchestrator.keys.quota import Quota
from orchestrator.keys.service import Keys
from orchestrator.lasting import places_of, rules_of, running_lasting
from orchestrator.metrics import Metrics
from orchestrator.models.service import Models
from orchestrator.openai_images.links import Links
from orchestrator.openai_images.service import OpenAIImages
from orchestrator.openai_images.usage import PromptTokens
from orchestrator.pictures.callers import CallersPictures
from orchestrator.pictures.embedder import ClipEmbedder
from orchestrator.pictures.understanding import Understanding
from orchestrator.probe.service import Probe
from orchestrator.segment.service import Segment
from orchestrator.settings import Settings
from orchestrator.triton import Triton, open_channel
from orchestrator.variations.service import Variations
from orchestrator.visualize.service import Visualize
from orchestrator.watchdog.repairs import RepairRules, Repairs
from orchestrator.watchdog.supervisor import Supervisor
from orchestrator.watchdog.watch import Watchdog, WatchRules
from orchestrator.worker import job_handlers, looking_rules


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
    variations: Variations
    openai_images: OpenAIImages
    links: Links
    gallery: Gallery
    similar: Similar
    pictures: CallersPictures
    jobs: Jobs
    intake: Intake
    idempotency: Idempotency
    keys: Keys


@asynccontextmanager
async def running_services(
    settings: Settings, concepts: Concepts, diffusion: Diffusion | None, metrics: Metrics
) -> AsyncIterator[Services]:
    async with _running_triton(settings, metrics) as (triton, watchdog):
        about = Understanding(triton, concepts, looking_rules(settings), metrics)
        analyze, segment, probe = Analyze(about), Segment(about), Probe(about)
        visualize = Visualize(about, settings.drawing_deadline_s, observer=metrics)
        embedder = ClipEmbedder(about.labels, about.vectors)
        painter = Painter(triton, analyze, embedder, settings.family, settings.generate_deadline_s)
        estimator = Estimator(settings.family, diffusion)
        # Where there is Redis, workers do the jobs.
        slots = settings.job_slots if settings.redis_url is None else 0
        handlers = job_handlers(painter, segment, analyze, probe, visualize)
        is_ready = partial(triton.is_live, deadline_s=settings.health_deadline_s)
        async with (
            running_lasting(places_of(settings), handlers, slots, rules_of(settings), is_ready=is_ready) as lasting,
            _in_background(EmbeddingUpkeep(lasting.database, lasting.shelf, embedder).run(), "embeddings"),
        ):
            pictures = CallersPictures(lasting.gallery)
            generate = Generate(painter, lasting.gallery, estimator, Quota(lasting.database))
            variations = Variations(pictures, lasting.gallery, analyze, settings.family)
            yield Services(
                embeddings=Embeddings(triton, settings.family, settings.embeddings_deadline_s),
                health=Health(triton, CATALOG, watchdog, settings.health_deadline_s),
                models=Models(triton, CATALOG, settings.family, settings.health_deadline_s),
                metrics=metrics,
                analyze=analyze,
                probe=probe,
                segment=segment,
                visualize=visualize,
                generate=generate,
                variations=variations,
                openai_images=OpenAIImages(generate, variations, PromptTokens(triton), diffusion),
                links=Links(),
                gallery=lasting.gallery,
                similar=Similar(lasting.database, embedder),
                pictures=pictures,
                jobs=lasting.jobs,
                intake=Intake(painter, estimator, variations, analyze, probe, pictures),
                idempotency=lasting.idempotency,
                keys=lasting.keys,
            )


@asynccontextmanager
async def _running_triton(settings: Settings, metrics: Metrics) -> AsyncIterator[tuple[Triton, Watchdog]]:
    """The channel, and the watchdog beside it."""
    channel = open_channel(settings.triton_address, settings.triton_keepalive_s)
    names = tuple(model.name for model in CATALOG)
    # The watchdog's own calls are watched by nobody: they are no traffic, and must not wake it.
    watchdog = _watchdog(Triton(channel, names), settings, metrics)
    triton = Triton(channel, names, observers=(metrics, watchdog))
    try:
        async with _in_background(watchdog.run(), "watchdog"):
            yield triton, watchdog
    finally:
        await channel.close()


@asynccontextmanager
async def _in_background(work: Coroutine[None, None, None], name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


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
