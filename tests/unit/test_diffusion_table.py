import gc
import itertools
import weakref

import numpy as np
import pytest

from modelcore.diffusion.call_sizes import FixedCallSize, TimedCallSize
from modelcore.diffusion.table import Denoise, Floats, Table
from modelcore.errors import InternalFault, InvalidInput, ModelUnavailable
from tests.fake_rows import FakeNetwork, FakeObserver, FakeRow, FakeWaiter, add_one


def table_of(denoise: Denoise = add_one, *, slots: int = 8, observer: FakeObserver | None = None) -> Table:
    """Its clock goes on by one second whenever it is looked at."""
    seconds = itertools.count()
    return Table(
        denoise,
        call_size=FixedCallSize(slots),
        observer=observer or FakeObserver(),
        clock_s=lambda: float(next(seconds)),
    )


def seat(table: Table, row: FakeRow) -> FakeWaiter:
    waiter = FakeWaiter()
    table.join(row, waiter)
    return waiter


def tick_until_empty(table: Table) -> int:
    for ticks in itertools.count():
        if not len(table):
            return ticks
        table.tick()
    raise AssertionError


class Spoilt(FakeRow):
    """Brings the whole call down that it takes part in."""

    def inputs(self) -> dict[str, Floats]:
        return {"latents": np.full((1, 4, 2, 2), np.nan, np.float32)}


def refuse_nan(inputs: dict[str, Floats]) -> Floats:
    if np.isnan(inputs["latents"]).any():
        raise InvalidInput("not a number")
    return add_one(inputs)


def test_rows_at_different_steps_share_one_call() -> None:
    network = FakeNetwork()
    table = table_of(network)
    seat(table, FakeRow(steps=5))
    table.tick()
    seat(table, FakeRow(steps=5))
    table.tick()
    assert network.calls == [1, 2]


def test_each_row_gets_its_own_noise_back() -> None:
    table = table_of()
    rows = [FakeRow(10.0, slots=2), FakeRow(20.0), FakeRow(30.0, slots=2)]
    for row in rows:
        seat(table, row)
    table.tick()
    assert [noise.shape[0] for row in rows for noise in row.noises] == [2, 1, 2]
    assert [float(row.latents[0, 0, 0]) for row in rows] == [11.0, 21.0, 31.0]


def test_a_row_that_takes_two_slots_at_one_step_and_one_at_the_next_is_followed() -> None:
    network = FakeNetwork()
    table = table_of(network)
    row = FakeRow(slots=2)
    seat(table, row)
    table.tick()
    row.slots = 1
    table.tick()
    assert network.calls == [2, 1]


def test_no_call_has_more_slots_than_allowed() -> None:
    network = FakeNetwork()
    table = table_of(network, slots=4)
    for _ in range(5):
        seat(table, FakeRow(slots=2))
    tick_until_empty(table)
    assert max(network.calls) == 4


def test_a_row_that_is_wider_than_a_call_may_be_is_called_alone() -> None:
    table = table_of(network := FakeNetwork(), slots=1)
    for _ in range(2):
        seat(table, FakeRow(slots=2, steps=1))
    tick_until_empty(table)
    assert network.calls == [2, 2]


def test_calls_that_take_long_become_smaller() -> None:
    now_s = [0.0]

    def quarter_of_a_second_a_slot(inputs: dict[str, Floats]) -> Floats:
        network(inputs)
        now_s[0] += 0.25 * len(inputs["latents"])
        return add_one(inputs)

    network = FakeNetwork()
    size = TimedCallSize(32, longest_call_s=1.0)
    table = Table(quarter_of_a_second_a_slot, call_size=size, observer=FakeObserver(), clock_s=lambda: now_s[0])
    for _ in range(8):
        seat(table, FakeRow(steps=5))
    tick_until_empty(table)
    assert network.calls == [8] + [4] * 8


def test_a_row_is_told_of_every_step_and_then_that_it_is_done() -> None:
    table = table_of()
    waiter = seat(table, FakeRow(steps=3))
    tick_until_empty(table)
    assert waiter.told == ["stepped", "stepped", "stepped", "done"]


def test_a_row_with_nothing_to_do_is_done_without_a_call() -> None:
    network = FakeNetwork()
    table = table_of(network)
    waiter = seat(table, FakeRow(steps=0))
    table.tick()
    assert (waiter.told, network.calls) == (["done"], [])


def test_a_cancelled_row_takes_no_further_step() -> None:
    network = FakeNetwork()
    table = table_of(network)
    waiter = seat(table, FakeRow(steps=9))
    table.tick()
    waiter.is_gone = True
    table.tick()
    assert (waiter.told, network.calls, len(table)) == (["stepped", "cancelled"], [1], 0)


def test_a_cancelled_row_leaves_even_when_it_is_not_its_turn() -> None:
    table = table_of(slots=1)
    seat(table, FakeRow())
    waiting = seat(table, FakeRow())
    waiting.is_gone = True
    table.tick()
    assert waiting.told == ["cancelled"]


def test_a_row_that_cannot_advance_fails_alone() -> None:
    class Broken(FakeRow):
        def advance(self, noise: Floats) -> None:
            raise InternalFault("its noise is not finite")

    table = table_of()
    broken, sound = seat(table, Broken()), seat(table, FakeRow())
    tick_until_empty(table)
    assert (broken.told, sound.told[-1]) == (["failed"], "done")


def test_a_row_that_spoils_a_call_fails_alone() -> None:
    table = table_of(refuse_nan)
    spoilt, sound = seat(table, Spoilt()), seat(table, FakeRow(steps=1))
    table.tick()
    assert (spoilt.told, sound.told) == (["failed"], ["stepped", "done"])


def test_a_network_that_is_away_is_asked_once_for_all() -> None:
    asked = []

    def away(inputs: dict[str, Floats]) -> Floats:
        asked.append(len(inputs["latents"]))
        raise ModelUnavailable("demo_unet", "demo_unet does not answer")

    table = table_of(away)
    waiters = [seat(table, FakeRow()) for _ in range(3)]
    table.tick()
    assert asked == [3]
    assert [waiter.told for waiter in waiters] == [["failed"]] * 3


def test_a_caller_does_not_see_the_inside_of_an_unforeseen_error(caplog: pytest.LogCaptureFixture) -> None:
    def broken(inputs: dict[str, Floats]) -> Floats:
        raise KeyError("/srv/secret/path")

    table = table_of(broken)
    waiter = seat(table, FakeRow())
    table.tick()
    assert isinstance(waiter.error, InternalFault)
    assert "secret" not in waiter.error.detail
    assert "secret" in caplog.text


def test_rows_come_and_go_without_a_call_being_wasted() -> None:
    table = table_of(network := FakeNetwork())
    for steps in (1, 2, 3):
        seat(table, FakeRow(steps=steps))
    tick_until_empty(table)
    assert network.calls == [3, 2, 1]


def test_a_large_picture_delays_small_ones_by_one_call_at_a_time() -> None:
    order: list[float] = []

    def slow_when_large(inputs: dict[str, Floats]) -> Floats:
        order.append(float(inputs["latents"].flat[0]))
        now_s[0] += 10.0 if order[-1] >= 100 else 1.0
        return inputs["latents"]

    now_s = [0.0]
    table = Table(slow_when_large, call_size=FixedCallSize(8), observer=FakeObserver(), clock_s=lambda: now_s[0])
    seat(table, FakeRow(100.0, steps=3, group="large"))
    small = seat(table, FakeRow(1.0, steps=20))
    tick_until_empty(table)
    assert order.count(100.0) == 3
    assert order[:12] == [100.0, *[1.0] * 10, 100.0]
    assert small.told[-1] == "done"


def test_eta_is_the_pace_times_the_steps_that_are_left() -> None:
    now_s = [0.0]

    def two_seconds(inputs: dict[str, Floats]) -> Floats:
        now_s[0] += 2.0
        return add_one(inputs)

    table = Table(two_seconds, call_size=FixedCallSize(8), observer=FakeObserver(), clock_s=lambda: now_s[0])
    waiter = seat(table, FakeRow(steps=4))
    tick_until_empty(table)
    assert waiter.etas_s == pytest.approx([6.0, 4.0, 2.0, 0.0])


def test_waiting_for_the_first_step_is_not_taken_for_the_pace() -> None:
    now_s = [0.0]

    def two_seconds(inputs: dict[str, Floats]) -> Floats:
        now_s[0] += 2.0
        return add_one(inputs)

    observer = FakeObserver()
    table = Table(two_seconds, call_size=FixedCallSize(8), observer=observer, clock_s=lambda: now_s[0])
    waiter = seat(table, FakeRow(steps=2))
    now_s[0] = 50.0
    tick_until_empty(table)
    assert waiter.etas_s == pytest.approx([2.0, 0.0])
    assert observer.waits_s == [50.0]


def test_the_observer_hears_rows_slots_and_the_time_of_each_call() -> None:
    observer = FakeObserver()
    table = table_of(observer=observer)
    seat(table, FakeRow(steps=1, slots=2))
    seat(table, FakeRow(steps=1))
    table.tick()
    assert observer.calls == [(2, 3, 1.0)]
    assert observer.in_flight == [1, 2, 1, 0]


def test_the_observer_counts_cancelled_rows() -> None:
    observer = FakeObserver()
    table = table_of(observer=observer)
    for _ in range(2):
        seat(table, FakeRow()).is_gone = True
    table.tick()
    assert observer.cancelled_rows == 2


def test_nothing_is_kept_of_a_row_that_is_done() -> None:
    table = table_of()
    row = FakeRow(steps=1)
    remembered = weakref.ref(row)
    seat(table, row)
    seat(table, FakeRow(steps=5))
    table.tick()
    del row
    gc.collect()
    assert remembered() is None


def test_when_the_table_ends_everybody_fails_with_its_reason() -> None:
    table = table_of()
    waiters = [seat(table, FakeRow()) for _ in range(2)]
    table.end(reason := ModelUnavailable("demo_unet", "gone"))
    assert [waiter.error for waiter in waiters] == [reason, reason]
    assert len(table) == 0
