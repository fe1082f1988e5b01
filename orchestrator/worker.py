"""A process that does jobs and nothing else; there may be many. `triptych worker` starts one.

They meet the orchestrator and each other in the database; Redis tells them when to look.
"""

import asyncio
import logging
import signal
from collections.abc import Mapping

from modelcore.errors import SetupProblem
from orchestrator.jobs.model import Handler
from orchestrator.lasting import places_of, rules_of, running_lasting
from orchestrator.settings import PREFIX, Settings

log = logging.getLogger(__name__)


def job_handlers() -> Mapping[str, Handler]:
    """One for each kind of job that this version can do. Each thing a user does adds its own here."""
    return {}


def check(settings: Settings, handlers: Mapping[str, Handler]) -> None:
    if not handlers:
        raise SetupProblem("this version has no kind of job, so there is nothing for a worker to do")
    if settings.redis_url is None:
        raise SetupProblem(f"without {PREFIX}REDIS_URL the orchestrator does all jobs itself: set it for both")


async def work(settings: Settings, handlers: Mapping[str, Handler]) -> None:
    """Until SIGTERM or Ctrl-C. What is in hand then goes back into the queue, and no attempt is lost."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with running_lasting(places_of(settings), handlers, settings.job_slots, rules_of(settings)):
        log.info("doing jobs of kind %s, %d at a time", ", ".join(handlers), settings.job_slots)
        await stopping.wait()
