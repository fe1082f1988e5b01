from typing import Any

import pytest

from modelcore.pipeline_metrics import PipelineMetrics


class FakeMetric:
    """Writes down every value that Triton is told."""

    def __init__(self) -> None:
        self.told: list[float] = []

    def observe(self, value: float) -> None:
        self.told.append(value)

    increment = set = observe


class FakeTriton:
    """What of `pb_utils` metrics need, and its own `MetricFamily`: hands out one metric for each name."""

    GAUGE = COUNTER = HISTOGRAM = "a kind"

    def __init__(self) -> None:
        self.metrics: dict[str, FakeMetric] = {}
        self._latest = FakeMetric()

    @property
    def MetricFamily(self) -> "FakeTriton":
        return self

    def __call__(self, *, name: str, **_: Any) -> "FakeTriton":
        self._latest = self.metrics[name.removeprefix("triptych_diffusion_")] = FakeMetric()
        return self

    def Metric(self, **_: Any) -> FakeMetric:
        return self._latest

    def told(self, *names: str) -> list[list[float]]:
        return [self.metrics[name].told for name in names]


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def triton() -> FakeTriton:
    return FakeTriton()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(triton: FakeTriton, clock: Clock) -> PipelineMetrics:
    return PipelineMetrics(triton, "demo", lambda message: message(), clock_s=clock)


CALLS = ("rows_per_call", "slots_total", "step_duration_seconds")


def test_calls_are_told_once_their_request_is_over(triton: FakeTriton, metrics: PipelineMetrics) -> None:
    metrics.call(rows=1, slots=2, seconds=0.25)
    metrics.call(rows=3, slots=6, seconds=0.5)
    before = triton.told(*CALLS)
    assert before == [[], [], []]
    metrics.request_over()
    assert triton.told(*CALLS) == [[1, 3], [8], [0.25, 0.5]]


def test_calls_of_a_long_request_are_told_every_second(
    triton: FakeTriton, metrics: PipelineMetrics, clock: Clock
) -> None:
    for clock.now_s in (0.5, 1.5, 2.0):
        metrics.call(rows=1, slots=1, seconds=clock.now_s)
    assert triton.told("step_duration_seconds") == [[0.5, 1.5]]


def test_no_call_is_told_twice(triton: FakeTriton, metrics: PipelineMetrics) -> None:
    metrics.call(rows=1, slots=1, seconds=0.25)
    metrics.request_over()
    metrics.request_over()
    assert triton.told(*CALLS) == [[1], [1], [0.25]]


def test_everything_else_is_told_at_once(triton: FakeTriton, metrics: PipelineMetrics) -> None:
    metrics.rows_in_flight(2)
    metrics.queue_wait(0.125)
    metrics.cancelled(3)
    assert triton.told("rows_in_flight", "queue_wait_seconds", "cancelled_total") == [[2], [0.125], [3]]
