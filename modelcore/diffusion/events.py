"""What happens to a request, as those who asked and those who measure are told. Knows no server and no network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from modelcore.errors import TriptychError


@dataclass(frozen=True)
class Progress:
    """One picture of a request has taken a step."""

    index: int  # of the picture in its request, from 0
    step: int
    steps: int
    eta_s: float  # until its last step, by the pace of its latest ones
    preview: bytes  # a small encoded picture; empty where none was asked for


@dataclass(frozen=True)
class Finished:
    """One picture of a request is done."""

    index: int
    seed: int
    image: bytes
    info: Mapping[str, Any]  # fit for JSON: parameters, model, warnings, timings


class Listener(Protocol):
    """Who asked. Told by one thread, in order; `is_cancelled` alone is asked by another, every now and then."""

    @property
    def wants_progress(self) -> bool:
        """Else it hears of finished pictures only."""

    def progress(self, event: Progress) -> None: ...

    def finished(self, event: Finished) -> None: ...

    def failed(self, error: TriptychError) -> None:
        """The request, or one of its pictures, came to nothing. At most once, after everything that was finished."""

    def closed(self) -> None:
        """There is no more to come. Always last, exactly once."""

    def is_cancelled(self) -> bool: ...


class Observer(Protocol):
    """Who measures. Told mostly by the engine's thread between two calls of the network, so it must be quick."""

    def queue_wait(self, seconds: float) -> None:
        """A row has waited this long for its first step."""

    def call(self, *, rows: int, slots: int, seconds: float) -> None:
        """The denoiser was called once for this many rows, which together took this many slots."""

    def rows_in_flight(self, count: int) -> None: ...

    def cancelled(self, rows: int) -> None: ...

    def request_over(self) -> None:
        """A request's places are free; its caller hears of the end after this. Not from the engine's thread."""


class NoObserver:
    """For who does not measure."""

    def queue_wait(self, seconds: float) -> None:
        pass

    def call(self, *, rows: int, slots: int, seconds: float) -> None:
        pass

    def rows_in_flight(self, count: int) -> None:
        pass

    def cancelled(self, rows: int) -> None:
        pass

    def request_over(self) -> None:
        pass
