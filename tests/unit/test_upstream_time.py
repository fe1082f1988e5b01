"""How long Triton had work of a request: whatever overlaps counts once."""

import pytest

from orchestrator import context


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its last number is the time."""
    times = [100.0]
    monkeypatch.setattr(context.time, "monotonic", lambda: times[-1])
    return times


def test_calls_one_after_the_other_add_up(clock: list[float]) -> None:
    upstream = context.Upstream()
    for seconds in (2.0, 3.0):
        upstream.begins()
        clock.append(clock[-1] + seconds)
        upstream.ends()
        clock.append(clock[-1] + 10)
    assert upstream.seconds == 5.0


def test_calls_at_the_same_time_count_once(clock: list[float]) -> None:
    upstream = context.Upstream()
    upstream.begins()
    clock.append(101.0)
    upstream.begins()
    clock.append(103.0)
    upstream.ends()
    clock.append(104.0)
    upstream.ends()
    assert upstream.seconds == 4.0


def test_a_call_in_flight_counts_so_far(clock: list[float]) -> None:
    upstream = context.Upstream()
    upstream.begins()
    clock.append(101.5)
    assert upstream.seconds == 1.5


def test_two_requests_are_the_same_however_long_they_took(clock: list[float]) -> None:
    assert context.RequestContext("a") == context.RequestContext("a")
