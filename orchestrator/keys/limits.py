"""How much one caller may ask for: requests a minute, and what work costs. The quota a day is in quota.py."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from modelcore.errors import QuotaExceeded

_MOST_CALLERS = 10_000


def cost_of(width: int, height: int, steps: int, pictures: int = 1) -> int:
    """The unit of all work: one pixel of one picture for one step."""
    return width * height * steps * pictures


@dataclass(frozen=True)
class Rate:
    """What is left after a request, and when all of it will be there again."""

    limit: int  # requests a minute
    remaining: int
    reset_s: int


class TooFast(QuotaExceeded):
    def __init__(self, rate: Rate, retry_after_s: int) -> None:
        super().__init__(f"you may send {rate.limit} requests a minute", retry_after_s=retry_after_s)
        self.rate = rate


@dataclass
class _Bucket:
    requests: float
    filled_at_s: float


class RateLimiter:
    """A bucket per caller, which holds a minute's requests and fills steadily. In memory: each process has its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def admit(self, owner: str, requests_per_minute: int | None) -> Rate | None:
        """None where there is no limit."""
        if requests_per_minute is None:
            return None
        bucket = self._filled(owner, requests_per_minute)
        if bucket.requests < 1:
            wait_s = (1 - bucket.requests) * 60 / requests_per_minute
            raise TooFast(_rate_of(bucket, requests_per_minute), retry_after_s=max(1, math.ceil(wait_s)))
        bucket.requests -= 1
        return _rate_of(bucket, requests_per_minute)

    def _filled(self, owner: str, capacity: int) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.setdefault(owner, _Bucket(capacity, now))
        self._buckets.move_to_end(owner)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)  # idle for longest, hence as good as full
        bucket.requests = min(capacity, bucket.requests + (now - bucket.filled_at_s) * capacity / 60)
        bucket.filled_at_s = now
        return bucket


def _rate_of(bucket: _Bucket, requests_per_minute: int) -> Rate:
    missing = requests_per_minute - bucket.requests
    return Rate(requests_per_minute, int(bucket.requests), math.ceil(missing * 60 / requests_per_minute))
