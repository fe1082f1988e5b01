"""What a job is: the words that the other modules of this folder share. Knows no SQL and no queue."""

import dataclasses
import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from orchestrator.gallery.pictures import NewPicture
from orchestrator.storage.shelf import Parcel

State = Literal["queued", "running", "completed", "failed", "cancelled"]
DAY_S = 24 * 3600.0
# In a request: what was settled of it when it was accepted, for the handler alone.
SETTLED = "settled"
TERMINAL: tuple[State, ...] = ("completed", "failed", "cancelled")


class Priority(enum.IntEnum):
    """The lower goes first: somebody waits for an interactive job."""

    INTERACTIVE = 0
    BATCH = 1


@dataclass(frozen=True)
class Submission:
    """What a caller wants done. `cost` is pixels x steps x pictures, see `keys.limits.cost_of`."""

    owner: str
    kind: str
    request: Mapping[str, Any]
    inputs: Mapping[str, Parcel] = field(default_factory=dict)
    steps: int = 0
    cost: int = 0
    priority: Priority = Priority.INTERACTIVE


@dataclass(frozen=True)
class Job:
    """A row, as its owner may see it."""

    id: str
    owner: str
    kind: str
    priority: int
    request: dict[str, Any]
    cost: int
    state: State
    attempt: int
    created_at_ms: int
    started_at_ms: int | None
    finished_at_ms: int | None
    step: int
    steps: int
    result: dict[str, Any] | None
    error_code: str | None
    error_detail: str | None

    @property
    def is_done(self) -> bool:
        return self.state in TERMINAL

    @property
    def asked(self) -> dict[str, Any]:
        """The request as its owner sent it, without its pictures."""
        return {name: value for name, value in self.request.items() if name != SETTLED}


@dataclass(frozen=True)
class JobFile:
    data: bytes
    media_type: str


JOB_FIELDS = tuple(field.name for field in dataclasses.fields(Job))


@dataclass(frozen=True)
class Claim:
    """A job in one worker's hands: whatever that worker writes, it writes under this token, or not at all."""

    job: Job
    token: str


@dataclass(frozen=True)
class Task:
    """What a handler is given: the job and the pictures that came with its request."""

    job: Job
    inputs: Mapping[str, bytes]


@dataclass(frozen=True)
class Outcome:
    """What a handler made: pictures for the gallery, what else the answer says, as JSON, and files that it names."""

    pictures: tuple[NewPicture, ...] = ()
    answer: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Parcel] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    step: int
    steps: int
    preview: bytes | None = None


class ReportProgress(Protocol):
    async def __call__(self, progress: Progress) -> None: ...


IsCancelled = Callable[[], bool]
# Whether whatever does the work can be reached. Asked before a job is begun: a queue that begins its jobs while Triton
# loads its models would spend all their attempts on that.
IsReady = Callable[[], Awaitable[bool]]


async def always_ready() -> bool:
    """Of work that needs nobody else."""
    return True


class Handler(Protocol):
    """Does the work of one kind of job. It may be called again for the same job, and cancelled at any await."""

    def __call__(
        self, task: Task, report_progress: ReportProgress, is_cancelled: IsCancelled
    ) -> Awaitable[Outcome]: ...


class Phase(enum.Enum):
    """Where a job's life could be cut off. Tests do so at each of them; see tests/storage/job_process.py."""

    ACCEPTING = "accepting"  # everything written, nothing committed
    ACCEPTED = "accepted"
    CLAIMED = "claimed"
    WORKED = "worked"  # the handler has its outcome, and nobody else has seen it
    KEPT = "kept"  # the bytes are stored, their rows are not
    COMPLETING = "completing"  # rows and completion written, nothing committed
    COMPLETED = "completed"


OnPhase = Callable[[Phase], None]


def no_phase_matters(phase: Phase) -> None:
    """What a product does at a phase: nothing."""


@dataclass(frozen=True)
class JobRules:
    """The numbers of the contract."""

    lease_s: float = 30.0
    heartbeat_s: float = 5.0
    watch_s: float = 0.5  # how soon a worker in another process hears of a cancellation
    attempts: int = 3
    retry_pause_s: float = 10.0  # then twice that: Triton has started again meanwhile
    expiry_s: float = DAY_S
    retention_s: float = 30 * DAY_S
    idempotency_s: float = DAY_S
    idempotency_hold_s: float = 900.0  # of a request that is answered at once: longer than any may take
    queue_limit: int = 1_000
    owner_queue_limit: int = 200
    reconcile_s: float = 5.0
    progress_s: float = 1.0  # how often a job's step is written down
    poll_s: float = 0.5  # how often a follower looks for what another process has written
