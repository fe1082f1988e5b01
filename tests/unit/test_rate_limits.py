"""How much one caller may ask for, by a clock that the test moves."""

import pytest

from modelcore.errors import QuotaExceeded
from orchestrator.keys.limits import Rate, RateLimiter, cost_of


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> RateLimiter:
    return RateLimiter(clock)


def admitted(limiter: RateLimiter, tries: int, owner: str = "key:me", requests_per_minute: int | None = 6) -> int:
    count = 0
    for _ in range(tries):
        try:
            limiter.admit(owner, requests_per_minute)
        except QuotaExceeded:
            continue
        count += 1
    return count


def test_a_minutes_requests_may_come_at_once(limiter: RateLimiter) -> None:
    assert admitted(limiter, 20) == 6


def test_one_comes_back_as_soon_as_it_is_said(limiter: RateLimiter, clock: Clock) -> None:
    admitted(limiter, 6)
    with pytest.raises(QuotaExceeded) as refused:
        limiter.admit("key:me", 6)
    assert refused.value.retry_after_s == 10
    clock.now_s += 9.9
    assert admitted(limiter, 1) == 0
    clock.now_s += 0.1
    assert admitted(limiter, 5) == 1


def test_a_long_pause_saves_up_no_more_than_a_minute(limiter: RateLimiter, clock: Clock) -> None:
    admitted(limiter, 6)
    clock.now_s += 3_600
    assert admitted(limiter, 20) == 6


def test_callers_do_not_share_a_limit(limiter: RateLimiter) -> None:
    admitted(limiter, 6)
    assert admitted(limiter, 1, owner="key:other") == 1


def test_without_a_limit_everything_is_admitted(limiter: RateLimiter) -> None:
    assert admitted(limiter, 1_000, requests_per_minute=None) == 1_000


def test_cost_is_pixels_times_steps_times_pictures() -> None:
    assert cost_of(512, 256, steps=20, pictures=3) == 7_864_320


def test_what_is_left_and_when_all_of_it_is_back(limiter: RateLimiter, clock: Clock) -> None:
    assert limiter.admit("key:me", 6) == Rate(limit=6, remaining=5, reset_s=10)
    assert limiter.admit("key:me", 6) == Rate(limit=6, remaining=4, reset_s=20)
    clock.now_s += 5
    assert limiter.admit("key:me", 6) == Rate(limit=6, remaining=3, reset_s=25)
