"""What lives as long as the app does: the channel to Triton and everything that uses it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from modelcore.catalog import CATALOG
from orchestrator.embeddings.service import Embeddings
from orchestrator.health.service import Health
from orchestrator.metrics import Metrics
from orchestrator.models.service import Models
from orchestrator.settings import Settings
from orchestrator.triton import Triton, open_channel
from orchestrator.watchdog.repairs import RepairRules, Repairs
from orchestrator.watchdog.supervisor import Supervisor
from orchestrator.watchdog.watch import Watchdog, WatchRules


@dataclass(frozen=True)
class Services:
    embeddings: Embeddings
    health: Health
    models: Models
    metrics: Metrics


@asynccontextmanager
async def running_services(settings: Settings, metrics: Metrics) -> AsyncIterator[Services]:
    channel = open_channel(settings.triton_address, settings.triton_keepalive_s)
    names = tuple(model.name for model in CATALOG)
    # The watchdog's own calls are watched by nobody: they are no traffic, and must not wake it.
    watchdog = _watchdog(Triton(channel, names), settings, metrics)
    triton = Triton(channel, names, observers=(metrics, watchdog))
    health_deadline_s = settings.health_deadline_s
    guard = asyncio.create_task(watchdog.run(), name="watchdog")
    try:
        yield Services(
            embeddings=Embeddings(triton, settings.family, settings.embeddings_deadline_s),
            health=Health(triton, CATALOG, watchdog, health_deadline_s),
            models=Models(triton, CATALOG, settings.family, health_deadline_s),
            metrics=metrics,
        )
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
    return Watchdog(triton, CATALOG, repairs, rules)
