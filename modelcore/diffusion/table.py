"""The rows in flight, and one tick of their sharing: stack those that fit, call the network once, let each step.

Knows a row by the members of `TableRow` only, and runs no thread: `engine.py` calls `tick`. Whatever happens to one
row, its error or its caller's leaving, happens to that row alone.
"""

import itertools
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from modelcore.diffusion.call_sizes import CallSize
from modelcore.diffusion.events import Observer
from modelcore.diffusion.faults import as_triptych_error
from modelcore.diffusion.turns import Turns
from modelcore.errors import TriptychError, Unavailable

Floats = NDArray[np.float32]
Denoise = Callable[[dict[str, Floats]], Floats]

_PACE_MEMORY = 0.7  # of the pace so far, against that of the latest step


class TableRow(Protocol):
    @property
    def group(self) -> Hashable: ...

    @property
    def slots(self) -> int: ...

    @property
    def step(self) -> int: ...

    @property
    def steps(self) -> int: ...

    @property
    def is_done(self) -> bool: ...

    def inputs(self) -> Mapping[str, Floats]: ...

    def advance(self, noise: Floats) -> None: ...


class RowListener(Protocol):
    """Who waits for a row. Told on the engine's thread, so it must be quick. One of the last three ends the row."""

    def is_cancelled(self) -> bool: ...

    def stepped(self, eta_s: float) -> None: ...

    def done(self) -> None: ...

    def failed(self, error: TriptychError) -> None: ...

    def cancelled(self) -> None: ...


class Seat:
    """A row at the table, with what is known of its pace."""

    def __init__(self, row: TableRow, listener: RowListener, now_s: float) -> None:
        self.row = row
        self.listener = listener
        self.group = row.group
        self.has_waited = False
        self.stepped_at_s = now_s
        self._pace_s: float | None = None

    @property
    def slots(self) -> int:
        return self.row.slots

    def take_step(self, now_s: float) -> float:
        """The seconds until its last step."""
        latest_s = now_s - self.stepped_at_s
        earlier_s = latest_s if self._pace_s is None else self._pace_s
        self._pace_s = _PACE_MEMORY * earlier_s + (1 - _PACE_MEMORY) * latest_s
        self.stepped_at_s = now_s
        return self._pace_s * (self.row.steps - self.row.step)


class Table:
    def __init__(
        self,
        denoise: Denoise,
        *,
        call_size: CallSize,
        observer: Observer,
        clock_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._denoise = denoise
        self._call_size = call_size
        self._observer = observer
        self._clock_s = clock_s
        self._seats: list[Seat] = []
        self._turns: Turns[Seat] = Turns()

    def __len__(self) -> int:
        return len(self._seats)

    def join(self, row: TableRow, listener: RowListener) -> None:
        if row.is_done:
            listener.done()
            return
        seat = Seat(row, listener, self._clock_s())
        self._seats.append(seat)
        self._turns.join(seat)
        self._observer.rows_in_flight(len(self._seats))

    def tick(self) -> None:
        """One call of the network, if anybody is left who wants one."""
        self._drop_cancelled()
        sharing = self._turns.next(self._call_size.slots)
        if not sharing:
            return
        group, started_s = sharing[0].group, self._clock_s()
        self._note_waits(sharing, started_s)
        try:
            self._step(sharing)
        finally:
            self._turns.charge(group, self._clock_s() - started_s)

    def end(self, error: TriptychError) -> None:
        """Everybody leaves, with this error."""
        for seat in list(self._seats):
            self._leave(seat)
            seat.listener.failed(error)

    def _drop_cancelled(self) -> None:
        leaving = [seat for seat in self._seats if seat.listener.is_cancelled()]
        for seat in leaving:
            self._leave(seat)
            seat.listener.cancelled()
        if leaving:
            self._observer.cancelled(len(leaving))

    def _note_waits(self, sharing: Sequence[Seat], now_s: float) -> None:
        for seat in sharing:
            if not seat.has_waited:
                seat.has_waited = True
                self._observer.queue_wait(now_s - seat.stepped_at_s)
                seat.stepped_at_s = now_s

    def _step(self, sharing: Sequence[Seat]) -> None:
        try:
            noises = self._call(sharing)
        except Unavailable as error:
            # The network is away, for everybody: asking again for each of them would only take longer.
            for seat in sharing:
                self._fail(seat, error)
            return
        except Exception as error:
            self._blame(sharing, error)
            return
        for seat, noise in zip(sharing, noises, strict=True):
            self._advance(seat, noise)

    def _call(self, sharing: Sequence[Seat]) -> list[Floats]:
        """The noise for each, (slots, channels, height, width)."""
        inputs = [seat.row.inputs() for seat in sharing]
        slots = [len(next(iter(given.values()))) for given in inputs]
        stacked = _stacked(inputs)
        started_s = self._clock_s()
        noise = self._denoise(stacked)
        seconds = self._clock_s() - started_s
        self._call_size.took(sharing[0].group, sum(slots), seconds)
        self._observer.call(rows=len(sharing), slots=sum(slots), seconds=seconds)
        ends = itertools.accumulate(slots)
        return [noise[end - count : end] for end, count in zip(ends, slots, strict=True)]

    def _blame(self, sharing: Sequence[Seat], error: Exception) -> None:
        """One row may have spoilt the call: each is asked for alone, and only those fail who fail alone."""
        if len(sharing) == 1:
            self._fail(sharing[0], error)
            return
        for seat in sharing:
            self._step([seat])

    def _advance(self, seat: Seat, noise: Floats) -> None:
        try:
            seat.row.advance(noise)
        except Exception as error:
            self._fail(seat, error)
            return
        seat.listener.stepped(seat.take_step(self._clock_s()))
        if seat.row.is_done:
            self._leave(seat)
            seat.listener.done()

    def _fail(self, seat: Seat, error: Exception) -> None:
        self._leave(seat)
        seat.listener.failed(as_triptych_error(error))

    def _leave(self, seat: Seat) -> None:
        self._seats.remove(seat)
        self._turns.leave(seat)
        self._observer.rows_in_flight(len(self._seats))


def _stacked(inputs: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    if len(inputs) == 1:
        return dict(inputs[0])
    return {name: np.concatenate([given[name] for given in inputs]) for name in inputs[0]}
