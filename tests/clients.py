"""Clients of a painting Triton that a test can hold: each in a thread of its own, with everything it was told."""

import threading
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

import tritonclient.grpc as triton

from triptych.painting import Event, Painter

TIMEOUT_S = 120.0


@dataclass
class Painting:
    """One request in flight. As a `with` it is cancelled at the end, unless it is over."""

    painter: Painter
    wishes: Mapping[str, object]
    events: list[Event] = field(default_factory=list)
    error: Exception | None = None
    has_begun: threading.Event = field(default_factory=threading.Event)
    is_over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def steps(self) -> int:
        """Of the first picture, as far as we were told."""
        return max((int(event["step"][0]) for event in self.events if "step" in event), default=0)

    @property
    def images(self) -> list[bytes]:
        finished = {int(event["index"][0]): event["image"].item() for event in self.events if "image" in event}
        return [finished[index] for index in sorted(finished)]

    def wait_for_step(self) -> "Painting":
        assert self.has_begun.wait(TIMEOUT_S), f"no step: {self.error}"
        return self

    def wait(self) -> "Painting":
        assert self.is_over.wait(TIMEOUT_S), "no end"
        if self.error is not None:
            raise self.error
        return self

    def cancel(self) -> None:
        """Seen at the next event."""
        self._leave.set()

    def __enter__(self) -> "Painting":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        self.is_over.wait(TIMEOUT_S)

    def _run(self) -> None:
        try:
            with self.painter.paint(self.wishes) as events:
                self._listen(events)
        except Exception as error:
            self.error = error
        self.is_over.set()

    def _listen(self, events: Iterable[Event]) -> None:
        for event in events:
            self.events.append(event)
            self.has_begun.set()
            if self._leave.is_set():
                return


def executions(address: str, model: str) -> tuple[int, int]:
    """How often a network was called so far, and for how many rows in all."""
    with triton.InferenceServerClient(address) as client:
        (statistics,) = client.get_inference_statistics(model).model_stats
    return int(statistics.execution_count), int(statistics.inference_count)


def metric(metrics_address: str, name: str, model: str) -> float:
    """The value of a metric of ours; of a histogram, ask for its `_sum` or `_count`."""
    with urllib.request.urlopen(f"http://{metrics_address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith(f"{name}{{") and f'model="{model}"' in line]
    return float(found[0].rpartition(" ")[2])
