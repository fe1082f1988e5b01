"""Rows and those who wait for them, without any network: what the engine's tests seat at its table."""

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from modelcore.errors import TriptychError

Floats = NDArray[np.float32]
LATENTS = (4, 2, 2)


class FakeRow:
    """Its latents are its number; each step adds one, as the fake network's noise says."""

    def __init__(
        self, number: float = 0.0, *, steps: int = 3, group: Hashable = "small", slots: int = 1, seed: int = 7
    ) -> None:
        self.group = group
        self.slots = slots
        self.steps = steps
        self.step = 0
        self.seed = seed
        self.variation_seed: int | None = None
        self.latents = np.full(LATENTS, number, np.float32)
        self.noises: list[Floats] = []

    @property
    def is_done(self) -> bool:
        return self.step == self.steps

    @property
    def shown_step(self) -> int:
        return self.step

    @property
    def shown_steps(self) -> int:
        return self.steps

    def inputs(self) -> dict[str, Floats]:
        return {"latents": np.repeat(self.latents[np.newaxis], self.slots, axis=0)}

    def advance(self, noise: Floats) -> None:
        self.noises.append(noise)
        self.latents = noise[-1]
        self.step += 1

    def preview(self) -> Floats:
        return self.latents


def add_one(inputs: dict[str, Floats]) -> Floats:
    """A network whose answer for a row tells what it was asked."""
    return inputs["latents"] + 1


class FakeNetwork:
    """Remembers how many slots each call had; `add_one` otherwise."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, inputs: dict[str, Floats]) -> Floats:
        self.calls.append(len(inputs["latents"]))
        return add_one(inputs)


class PatientNetwork(FakeNetwork):
    """Each call waits until a test lets it through."""

    def __init__(self) -> None:
        super().__init__()
        self._entered = threading.Semaphore(0)
        self._may_leave = threading.Semaphore(0)

    def __call__(self, inputs: dict[str, Floats]) -> Floats:
        self._entered.release()
        assert self._may_leave.acquire(timeout=10)
        return super().__call__(inputs)

    def wait_for_call(self) -> None:
        assert self._entered.acquire(timeout=10)

    def let_through(self, calls: int = 1) -> None:
        self._may_leave.release(calls)


@dataclass
class FakeWaiter:
    """Writes down what it is told about a row."""

    told: list[str] = field(default_factory=list)
    etas_s: list[float] = field(default_factory=list)
    error: TriptychError | None = None
    is_gone: bool = False
    ended: threading.Event = field(default_factory=threading.Event)

    def is_cancelled(self) -> bool:
        return self.is_gone

    def stepped(self, eta_s: float) -> None:
        self.told.append("stepped")
        self.etas_s.append(eta_s)

    def done(self) -> None:
        self._end("done")

    def failed(self, error: TriptychError) -> None:
        self.error = error
        self._end("failed")

    def cancelled(self) -> None:
        self._end("cancelled")

    def wait(self) -> "FakeWaiter":
        assert self.ended.wait(timeout=10), "nobody told it of an end"
        return self

    def _end(self, how: str) -> None:
        self.told.append(how)
        self.ended.set()


@dataclass
class FakeObserver:
    """Writes down what is measured."""

    waits_s: list[float] = field(default_factory=list)
    calls: list[tuple[int, int, float]] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    cancelled_rows: int = 0
    requests_over: int = 0

    def queue_wait(self, seconds: float) -> None:
        self.waits_s.append(seconds)

    def call(self, *, rows: int, slots: int, seconds: float) -> None:
        self.calls.append((rows, slots, seconds))

    def rows_in_flight(self, count: int) -> None:
        self.in_flight.append(count)

    def cancelled(self, rows: int) -> None:
        self.cancelled_rows += rows

    def request_over(self) -> None:
        self.requests_over += 1
