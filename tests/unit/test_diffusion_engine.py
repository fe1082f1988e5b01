import gc
import threading
import weakref

import pytest

from modelcore.diffusion.call_sizes import FixedCallSize
from modelcore.diffusion.engine import Engine
from modelcore.errors import InternalFault, Unavailable
from tests.fake_rows import FakeNetwork, FakeRow, FakeWaiter, PatientNetwork, add_one

EIGHT_SLOTS = FixedCallSize(8)


def submit(engine: Engine, row: FakeRow) -> FakeWaiter:
    waiter = FakeWaiter()
    engine.submit(row, waiter)
    return waiter


def test_a_row_that_comes_during_a_call_joins_at_the_next() -> None:
    network = PatientNetwork()
    engine = Engine(network, call_size=EIGHT_SLOTS)
    first = submit(engine, FakeRow(steps=2))
    network.wait_for_call()
    late = submit(engine, FakeRow(steps=1))
    network.let_through(2)
    first.wait()
    late.wait()
    engine.close()
    assert network.calls == [1, 2]


def test_a_cancelled_row_ends_with_the_call_that_is_under_way() -> None:
    network = PatientNetwork()
    engine = Engine(network, call_size=EIGHT_SLOTS)
    waiter = submit(engine, FakeRow(steps=50))
    network.wait_for_call()
    waiter.is_gone = True
    network.let_through(50)
    assert waiter.wait().told == ["stepped", "cancelled"]
    engine.close()
    assert network.calls == [1]


def test_closing_fails_what_is_in_flight_and_what_has_just_come() -> None:
    engine = Engine(add_one, call_size=EIGHT_SLOTS)
    in_flight = submit(engine, FakeRow(steps=10**9))
    while not in_flight.told:
        in_flight.ended.wait(0.01)
    just_come = submit(engine, FakeRow(steps=10**9))
    engine.close()
    assert [type(waiter.wait().error) for waiter in (in_flight, just_come)] == [Unavailable, Unavailable]


def test_a_row_that_comes_after_closing_fails_at_once() -> None:
    engine = Engine(add_one, call_size=EIGHT_SLOTS)
    engine.close()
    assert isinstance(submit(engine, FakeRow()).error, Unavailable)


def test_closing_leaves_no_thread() -> None:
    before = threading.active_count()
    Engine(add_one, call_size=EIGHT_SLOTS).close()
    assert threading.active_count() == before


def test_the_engine_survives_a_listener_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    class Rude(FakeWaiter):
        def stepped(self, eta_s: float) -> None:
            raise RuntimeError("rude")

    engine = Engine(add_one, call_size=EIGHT_SLOTS)
    rude = Rude()
    engine.submit(FakeRow(), rude)
    assert isinstance(rude.wait().error, InternalFault)
    assert submit(engine, FakeRow()).wait().told[-1] == "done"
    engine.close()
    assert "rude" in caplog.text


def test_nothing_is_kept_of_a_row_while_the_engine_waits() -> None:
    engine = Engine(FakeNetwork(), call_size=EIGHT_SLOTS)
    row = FakeRow(steps=1)
    remembered = weakref.ref(row)
    submit(engine, row).wait()
    submit(engine, FakeRow(steps=1)).wait()
    del row
    gc.collect()
    assert remembered() is None
    engine.close()


def test_many_threads_may_submit_at_once() -> None:
    engine = Engine(add_one, call_size=EIGHT_SLOTS)
    waiters = [FakeWaiter() for _ in range(32)]
    threads = [threading.Thread(target=engine.submit, args=(FakeRow(steps=4), waiter)) for waiter in waiters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(waiter.wait().told == ["stepped"] * 4 + ["done"] for waiter in waiters)
    engine.close()
