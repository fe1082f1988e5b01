import threading
from collections.abc import Iterator

import pytest

from modelcore.diffusion.teller import TAKE_OVER_AFTER_S, Teller


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Sink:
    """A listener that takes what it is told when it is let, and remembers it."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.told: list[int] = []
        self.is_asked, self.may_take, self._more = threading.Event(), threading.Event(), threading.Condition()
        if is_open:
            self.may_take.set()

    def take(self, number: int) -> None:
        self.is_asked.set()
        assert self.may_take.wait(timeout=10)
        with self._more:
            self.told.append(number)
            self._more.notify()

    def wait_for(self, count: int) -> list[int]:
        with self._more:
            assert self._more.wait_for(lambda: len(self.told) >= count, timeout=10)
        return self.told


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def teller(clock: Clock) -> Iterator[Teller]:
    made = Teller(clock_s=clock)
    yield made
    made.close()


def tell(teller: Teller, sink: Sink, *numbers: int) -> None:
    for number in numbers:
        teller.tell(sink, lambda number=number: sink.take(number))


def stall(teller: Teller, clock: Clock, sink: Sink) -> None:
    assert sink.is_asked.wait(timeout=10)
    clock.now_s += 2 * TAKE_OVER_AFTER_S
    teller.look()


def test_all_is_told_in_its_order(teller: Teller) -> None:
    sink = Sink()
    tell(teller, sink, *range(100))
    assert sink.wait_for(100) == list(range(100))


def test_a_listener_that_stalls_holds_up_nobody_else(teller: Teller, clock: Clock) -> None:
    stuck, other = Sink(is_open=False), Sink()
    tell(teller, stuck, 1)
    tell(teller, other, 1)
    stall(teller, clock, stuck)
    assert other.wait_for(1) == [1]
    assert (teller.stalled, stuck.told) == (1, [])
    stuck.may_take.set()


def test_several_that_stall_hold_up_nobody_else(teller: Teller, clock: Clock) -> None:
    stuck, other = [Sink(is_open=False) for _ in range(5)], Sink()
    for sink in stuck:
        tell(teller, sink, 1)
    tell(teller, other, 1)
    for sink in stuck:
        stall(teller, clock, sink)
    assert other.wait_for(1) == [1]
    assert teller.stalled == 5
    for sink in stuck:
        sink.may_take.set()


def test_who_stalled_is_told_the_rest_in_its_order_once_it_takes_it(teller: Teller, clock: Clock) -> None:
    stuck, other = Sink(is_open=False), Sink()
    tell(teller, stuck, 1, 2)
    stall(teller, clock, stuck)
    tell(teller, stuck, 3)
    tell(teller, other, 1)
    other.wait_for(1)
    stuck.may_take.set()
    tell(teller, stuck, 4)
    assert stuck.wait_for(4) == [1, 2, 3, 4]


def test_it_is_known_how_long_a_listener_has_stalled(teller: Teller, clock: Clock) -> None:
    stuck = Sink(is_open=False)
    tell(teller, stuck, 1)
    stall(teller, clock, stuck)
    clock.now_s += 10
    assert teller.stalled_s(stuck) == pytest.approx(10 + 2 * TAKE_OVER_AFTER_S)
    assert teller.stalled_s("another") == 0
    stuck.may_take.set()


def test_a_listener_that_fails_silences_nobody(teller: Teller, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise RuntimeError("rude")

    sink = Sink()
    teller.tell("rude", fails)
    tell(teller, sink, 1)
    assert sink.wait_for(1) == [1]
    assert "rude" in caplog.text


def test_closing_tells_the_rest_but_waits_for_nobody_who_stalls(clock: Clock) -> None:
    teller, stuck, other = Teller(clock_s=clock), Sink(is_open=False), Sink()
    tell(teller, stuck, 1)
    tell(teller, other, 1)
    stall(teller, clock, stuck)
    teller.close()
    assert (other.told, stuck.told) == ([1], [])
    stuck.may_take.set()


def test_closing_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    Teller().close()
    assert set(threading.enumerate()) <= before
