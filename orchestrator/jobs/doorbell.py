"""Tells workers that there is work, through dramatiq: threads in this process, or Redis and other processes.

A ring carries a job's id and means only "look". Which job a worker takes, SQL decides; a ring that is lost, doubled or
late costs time, never a job.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

QUEUE = "jobs"
NAMESPACE = "triptych"
# Redis without an answer for so long counts as gone; its jobs are found without it, a little later.
_REDIS_TIMEOUT_S = 5.0
# In a million commands: often enough that a dead worker's rings are given to another within seconds.
_MAINTENANCE_CHANCE = 100_000
_HEARTBEAT_TIMEOUT_MS = 30_000
_IDLE_MS = 200
_STOP_TIMEOUT_MS = 5_000
_MOST_PENDING = 1_000

log = logging.getLogger(__name__)


class Doorbell:
    """`answer` is called in this loop for every ring, at most `slots` at a time; without slots it only rings."""

    def __init__(self, redis_url: str | None, slots: int, answer: Callable[[], Awaitable[None]]) -> None:
        self._client = _open_client(redis_url) if redis_url else None
        self._broker = _open_redis_broker(self._client) if self._client else StubBroker(middleware=[])
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._ring = dramatiq.actor(broker=self._broker, actor_name="ring", queue_name=QUEUE)(self._on_ring)
        self._worker = dramatiq.Worker(self._broker, worker_threads=slots, worker_timeout=_IDLE_MS) if slots else None
        self._pending: asyncio.Queue[str] = asyncio.Queue(_MOST_PENDING)

    async def run(self) -> None:
        """Ring for whoever asked, in order, off the loop: Redis may hang. Runs until it is cancelled."""
        if self._worker is not None:
            self._worker.start()
        try:
            while True:
                await asyncio.to_thread(self._send, await self._pending.get())
        finally:
            await asyncio.shield(asyncio.to_thread(self._close))

    def ring(self, job_id: str) -> None:
        """Never waits and never fails. What does not fit is rung for by the reconciler."""
        with contextlib.suppress(asyncio.QueueFull):
            self._pending.put_nowait(job_id)

    async def waiting(self) -> int:
        """How many rings nobody has answered yet; as good as none while Redis does not say."""
        return await asyncio.to_thread(self._count) + self._pending.qsize()

    def _count(self) -> int:
        if self._client is None:
            return int(self._broker.queues[QUEUE].qsize())
        try:
            return int(self._client.llen(f"{NAMESPACE}:{QUEUE}"))
        except redis.RedisError:
            return 0

    def _send(self, job_id: str) -> None:
        try:
            self._ring.send(job_id)
        except (dramatiq.errors.BrokerError, redis.RedisError) as error:
            log.warning("could not ring for job %s, which will be found without: %s", job_id, error)

    def _on_ring(self, job_id: str) -> None:
        """In a thread of dramatiq's, which stays occupied as long as it is answered: that is the limit of slots."""
        log.debug("a ring for job %s", job_id)
        try:
            asyncio.run_coroutine_threadsafe(self._answered(), self._loop).result()
        except Exception:  # the edge of a thread that must go on
            log.exception("a ring could not be answered")

    async def _answered(self) -> None:
        await self._answer()

    def _close(self) -> None:
        with contextlib.suppress(redis.RedisError):  # gone, and so are the rings that it held
            if self._worker is not None:
                self._worker.stop(_STOP_TIMEOUT_MS)
            self._broker.close()
        if self._client is not None:
            self._client.close()


def _open_client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(
        url,
        socket_timeout=_REDIS_TIMEOUT_S,
        socket_connect_timeout=_REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def _open_redis_broker(client: "redis.Redis") -> RedisBroker:
    return RedisBroker(  # type: ignore[no-untyped-call]
        client=client,
        namespace=NAMESPACE,
        middleware=[],
        maintenance_chance=_MAINTENANCE_CHANCE,
        heartbeat_timeout=_HEARTBEAT_TIMEOUT_MS,
    )
