"""Tells a hung model from a busy one. Pure: counts and times in, a verdict out.

Both leave a probe without an answer. But a busy model goes on finishing somebody's requests, and Triton counts them.
"""

from dataclasses import dataclass

from orchestrator.triton import ModelStatistics

# A model may take this many times its own slowest batch before its silence means anything.
_PATIENCE_IN_BATCHES = 3


@dataclass(frozen=True)
class _Stall:
    since_s: float
    successes: int


class Stalls:
    def __init__(self, hung_after_s: float) -> None:
        self._hung_after_s = hung_after_s
        self._stalls: dict[str, _Stall] = {}

    def is_hung(
        self,
        model: str,
        before: ModelStatistics,
        after: ModelStatistics,
        *,
        started_s: float,
        now_s: float,
    ) -> bool:
        """Told of a probe in vain: what Triton had counted when it started, and what it has counted now."""
        stall = self._stalls.get(model)
        if stall is None or stall.successes != after.successes:
            silent = before.successes == after.successes
            stall = _Stall(started_s if silent else now_s, after.successes)
            self._stalls[model] = stall
        patience_s = max(self._hung_after_s, _PATIENCE_IN_BATCHES * after.slowest_batch_s)
        return now_s - stall.since_s >= patience_s

    def forget(self, model: str) -> None:
        self._stalls.pop(model, None)
