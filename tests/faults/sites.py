"""The ways to run a Triptych, all parts real: by itself on SQLite, or on PostgreSQL with Redis and workers."""

import contextlib
import os
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from embedded import leftovers
from tests.faults.books import Books
from tests.faults.parts import Part, TritonPart, Whole, running
from tests.storage.servers import Redis, free_port, running_postgresql, running_redis, wait_until
from tests.triptych_process import free_addresses
from triptych.project import MODEL_REPOSITORY

READY_TIMEOUT_S = 180.0
# Few enough that callers are told to wait, and go on submitting as long as the storm goes on.
WAITING_PER_CALLER = {"TRIPTYCH_JOB_QUEUE_LIMIT_PER_CALLER": "25"}
# What painting needs. The others have parts in no job of these storms, and each costs a second at every start.
MODELS = (
    *("demo", "demo_text_encoder", "demo_unet", "demo_vae_decoder", "demo_vae_encoder"),
    *("clip_image", "clip_image_bytes", "clip_preprocess", "clip_tokenize", "clip_text", "clip_text_string"),
)

Strike = Callable[[random.Random], None]


@dataclass(frozen=True)
class Site:
    """`strikes` kills by name; those in `deadly` take the attempts of the jobs that run at that moment."""

    url: str
    books: Books
    strikes: Mapping[str, Strike]
    deadly: frozenset[str]


@contextlib.contextmanager
def alone(folder: Path, environment: Mapping[str, str]) -> Iterator[Site]:
    """`triptych up`: one orchestrator that does the jobs itself, SQLite, no Redis."""
    addresses, state = free_addresses(), folder / "state"
    arguments = ["triptych", "up", *addresses.arguments, f"--state={state}"]
    whole = Whole(arguments, WAITING_PER_CALLER | dict(environment), folder / "up.log")
    with running(whole), _closing(Books(f"sqlite:///{state}/triptych.db", state / "objects")) as books:
        _wait_ready(f"http://{addresses.rest}")
        yield Site(f"http://{addresses.rest}", books, {"whole": lambda _: whole.strike()}, frozenset({"whole"}))


@contextlib.contextmanager
def running_triton(folder: Path) -> Iterator[TritonPart]:
    """`triptych triton` with the models of these storms."""
    addresses = free_addresses()
    own_ports = [flag.replace("--triton-", "--") for flag in addresses.arguments if flag.startswith("--triton-")]
    where = [f"--repository={MODEL_REPOSITORY}", f"--log={folder / 'triton.log'}"]
    arguments = ["triptych", "triton", *where, *own_ports, "--models", *MODELS]
    triton = TritonPart(arguments, {}, folder / "triton-supervisor.log", addresses.triton_grpc)
    with running(triton):
        triton.wait_ready()
        yield triton


@contextlib.contextmanager
def single(folder: Path, environment: Mapping[str, str], triton: TritonPart) -> Iterator[Site]:
    """An orchestrator that does the jobs itself, SQLite, no Redis."""
    settings = _settings(folder, environment, triton)
    orchestrator = Part(["orchestrator"], settings, folder / "orchestrator.log")
    state = folder / "state"
    with running(orchestrator), _closing(Books(f"sqlite:///{state}/triptych.db", state / "objects")) as books:
        url = _url(settings)
        _wait_ready(url)
        yield Site(url, books, {"orchestrator": lambda _: orchestrator.strike()}, frozenset({"orchestrator"}))


@contextlib.contextmanager
def beside(folder: Path, environment: Mapping[str, str], triton: TritonPart) -> Iterator[Site]:
    """An orchestrator that only accepts, two workers, PostgreSQL, Redis with its append-only file."""
    with running_postgresql() as server, server.new_database() as database_url, running_redis(folder) as redis:
        places = {"TRIPTYCH_DATABASE_URL": database_url, "TRIPTYCH_REDIS_URL": redis.url}
        settings = _settings(folder, places | dict(environment), triton)
        orchestrator = Part(["orchestrator"], settings, folder / "orchestrator.log")
        workers = [Part(["triptych", "worker"], settings, folder / f"worker-{number}.log") for number in range(2)]
        with (
            running(orchestrator, *workers),
            _closing(Books(database_url, folder / "state" / "objects")) as books,
        ):
            url = _url(settings)
            _wait_ready(url)
            strikes: dict[str, Strike] = {
                "orchestrator": lambda _: orchestrator.strike(),
                "worker": lambda chance: chance.choice(workers).strike(),
                "Triton": lambda _: triton.strike(),
                "Redis": lambda _: _strike_redis(redis),
                "Redis emptied": lambda _: redis.empty(),
            }
            yield Site(url, books, strikes, frozenset({"worker", "Triton"}))


def check_nothing_left(children_before: set[int]) -> None:
    """Our processes and what a killed Triton leaves in shared memory. Shared memory of others is not ours to judge."""
    wait_until(lambda: children() <= children_before, "our processes have ended")
    wait_until(lambda: not abandoned_memory(), "no abandoned shared memory is left")


def children() -> set[int]:
    return {each.pid for each in psutil.Process().children(recursive=True)}


def abandoned_memory() -> list[str]:
    return [name for name in os.listdir(leftovers.SHARED_MEMORY) if leftovers.is_abandoned(name)]


def _settings(folder: Path, environment: Mapping[str, str], triton: TritonPart) -> dict[str, str]:
    own = {
        "TRIPTYCH_PORT": str(free_port()),
        "TRIPTYCH_TRITON_ADDRESS": triton.grpc_address,
        "TRIPTYCH_STATE_FOLDER": str(folder / "state"),
    }
    return WAITING_PER_CALLER | own | dict(environment)


def _url(settings: Mapping[str, str]) -> str:
    return f"http://127.0.0.1:{settings['TRIPTYCH_PORT']}"


def _strike_redis(redis: Redis) -> None:
    redis.kill()
    redis.start()


@contextlib.contextmanager
def _closing(books: Books) -> Iterator[Books]:
    try:
        yield books
    finally:
        books.close()


def _wait_ready(url: str) -> None:
    wait_until(lambda: _is_ready(url), "the orchestrator answers", READY_TIMEOUT_S)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live").status_code == 200
    except httpx.TransportError:
        return False
