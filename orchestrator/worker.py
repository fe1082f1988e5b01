"""A process that does jobs and nothing else; there may be many. `triptych worker` starts one.

They meet the orchestrator and each other in the database; Redis tells them when to look. Triton does the work itself.
"""

import asyncio
import logging
import signal
from collections.abc import Mapping
from functools import partial

from modelcore.catalog import CATALOG
from modelcore.errors import SetupProblem
from orchestrator.analyze.job import AnalyzeHandler
from orchestrator.analyze.service import Analyze
from orchestrator.family_file import read_concepts
from orchestrator.generate.job import GenerateHandler
from orchestrator.generate.painter import Painter
from orchestrator.jobs.model import Handler, IsReady, always_ready
from orchestrator.lasting import places_of, rules_of, running_lasting
from orchestrator.pictures.embedder import ClipEmbedder
from orchestrator.pictures.understanding import Understanding, UnderstandingRules
from orchestrator.probe.job import ProbeHandler
from orchestrator.probe.service import Probe
from orchestrator.segment.job import SegmentHandler
from orchestrator.segment.service import Segment
from orchestrator.settings import PREFIX, Settings
from orchestrator.stories.schemas import STORY_PICTURE
from orchestrator.triton import Triton, open_channel
from orchestrator.variations.job import VariationsHandler
from orchestrator.visualize.job import VisualizeHandler
from orchestrator.visualize.service import Visualize

log = logging.getLogger(__name__)


def job_handlers(
    painter: Painter, segment: Segment, analyze: Analyze, probe: Probe, visualize: Visualize
) -> Mapping[str, Handler]:
    """One for each kind of job that this version can do; `job_routes/intake.py` is where their requests come in."""
    return {
        "generate": GenerateHandler(painter),
        "variations": VariationsHandler(painter, analyze),
        STORY_PICTURE: GenerateHandler(painter),
        "segment": SegmentHandler(segment),
        "analyze": AnalyzeHandler(analyze),
        "probe": ProbeHandler(probe),
        "visualize": VisualizeHandler(visualize),
    }


def check(settings: Settings) -> None:
    if settings.redis_url is None:
        raise SetupProblem(f"without {PREFIX}REDIS_URL the orchestrator does all jobs itself: set it for both")


def handlers_on(triton: Triton, settings: Settings) -> Mapping[str, Handler]:
    about = Understanding(triton, read_concepts(settings.families_folder, settings.family), looking_rules(settings))
    analyze, embedder = Analyze(about), ClipEmbedder(about.labels, about.vectors)
    painter = Painter(triton, analyze, embedder, settings.family, settings.generate_deadline_s)
    visualize = Visualize(about, settings.drawing_deadline_s)
    return job_handlers(painter, Segment(about), analyze, Probe(about), visualize)


def looking_rules(settings: Settings) -> UnderstandingRules:
    return UnderstandingRules(settings.clip_deadline_s, settings.segment_deadline_s)


async def serve(settings: Settings) -> None:
    channel = open_channel(settings.triton_address, settings.triton_keepalive_s)
    try:
        triton = Triton(channel, [model.name for model in CATALOG])
        is_ready = partial(triton.is_live, deadline_s=settings.health_deadline_s)
        await work(settings, handlers_on(triton, settings), is_ready)
    finally:
        await channel.close()


async def work(settings: Settings, handlers: Mapping[str, Handler], is_ready: IsReady = always_ready) -> None:
    """Until SIGTERM or Ctrl-C. What is in hand then goes back into the queue, and no attempt is lost."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    places, rules = places_of(settings), rules_of(settings)
    async with running_lasting(places, handlers, settings.job_slots, rules, is_ready=is_ready):
        log.info("doing jobs of kind %s, %d at a time", ", ".join(handlers), settings.job_slots)
        await stopping.wait()
