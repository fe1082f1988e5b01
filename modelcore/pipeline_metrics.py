"""The pipeline's own numbers on Triton's metrics port: their names and units. Is handed `pb_utils`."""

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

_ROWS_PER_CALL = [1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0]
_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]
_TOLD_EVERY_S = 1.0


class _Call(NamedTuple):
    rows: int
    slots: int
    seconds: float


class PipelineMetrics:
    """An Observer. Setting a value is a message to Triton, of 60 microseconds: `tell` does it in another thread.

    Even so it takes the processor from the network's next call, so calls are told once a second, or when a request is
    over and has had its answer.
    """

    def __init__(
        self,
        pb_utils: Any,
        model: str,
        tell: Callable[[Callable[[], None]], None],
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        family = pb_utils.MetricFamily
        labels = {"model": model}

        def metric(name: str, kind: Any, description: str, **options: Any) -> Any:
            # The family must live as long as its metric.
            made = family(name=f"triptych_diffusion_{name}", description=description, kind=kind)
            self._families.append(made)
            return made.Metric(labels=labels, **options)

        self._tell = tell
        self._clock_s = clock_s
        self._told_at_s = clock_s()
        self._untold: list[_Call] = []
        self._lock = threading.Lock()
        self._families: list[Any] = []
        self._rows_in_flight = metric("rows_in_flight", family.GAUGE, "Pictures being denoised")
        self._rows_per_call = metric(
            "rows_per_call", family.HISTOGRAM, "Pictures that shared a call of the denoiser", buckets=_ROWS_PER_CALL
        )
        self._slots = metric("slots_total", family.COUNTER, "Rows that the denoiser computed, two for a guided picture")
        self._step_seconds = metric(
            "step_duration_seconds", family.HISTOGRAM, "Duration of a call of the denoiser", buckets=_SECONDS
        )
        self._queue_seconds = metric(
            "queue_wait_seconds", family.HISTOGRAM, "From a picture's joining to its first step", buckets=_SECONDS
        )
        self._cancelled = metric("cancelled_total", family.COUNTER, "Pictures that were cancelled before their end")

        self._given_up = metric(
            "given_up_total", family.COUNTER, "Requests whose answers Triton did not take, their process being dead"
        )

    def queue_wait(self, seconds: float) -> None:
        self._tell(lambda: self._queue_seconds.observe(seconds))

    def call(self, *, rows: int, slots: int, seconds: float) -> None:
        with self._lock:
            self._untold.append(_Call(rows, slots, seconds))
        if self._clock_s() - self._told_at_s > _TOLD_EVERY_S:
            self._tell_calls()

    def request_over(self) -> None:
        self._tell_calls()

    def rows_in_flight(self, count: int) -> None:
        self._tell(lambda: self._rows_in_flight.set(count))

    def cancelled(self, rows: int) -> None:
        self._tell(lambda: self._cancelled.increment(rows))

    def given_up(self) -> None:
        self._tell(lambda: self._given_up.increment(1))

    def _tell_calls(self) -> None:
        with self._lock:
            calls, self._untold = self._untold, []
            self._told_at_s = self._clock_s()
        if calls:
            self._tell(lambda: self._observe(calls))

    def _observe(self, calls: list[_Call]) -> None:
        self._slots.increment(sum(call.slots for call in calls))
        for call in calls:
            self._rows_per_call.observe(call.rows)
            self._step_seconds.observe(call.seconds)
