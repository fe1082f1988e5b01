"""Whoever leaves takes his work with him: within one step, and without a trace. The demo family, real Triton."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import tritonclient.grpc as triton

from tests.clients import Painting, executions, metric
from tests.triptych_process import PROJECT, Addresses, TriptychProcess
from tests.triton.conftest import eventually
from triptych.painting import Painter

pytestmark = [pytest.mark.triton, pytest.mark.timeout(900)]

FAMILY, UNET = "demo", "demo_unet"
# So large that a step takes longer than Triton takes to notice that a client has gone (8 to 20 ms).
LONG = {"prompt": "a red circle", "steps": 100, "width": 256, "height": 256, "seed": 1}
# The step that was under way when he left, and the one that had begun before Triton knew.
STEPS_AFTER_LEAVING = 2
LEAVES_AFTER = 3  # steps
GRPC_SPARE = 6  # threads and files to poll with, whatever the number of connections
# By which a process's shared memory grows where more is under way at once than ever before. To lose 10 kB with each
# request would be more.
SHARED_MEMORY_STEP_BYTES = 2**20

_CLIENT = """
import sys, time
from triptych.painting import Painter
with Painter(sys.argv[1], "demo").paint({wishes!r}) as events:
    for event in events:
        print(int(event["step"][0]), flush=True)
"""


@pytest.fixture
def painter(triptych: Addresses) -> Painter:
    return Painter(triptych.triton_grpc, FAMILY)


@pytest.fixture
def calls_before(triptych: Addresses) -> int:
    """Nobody else paints."""
    assert eventually(lambda: rows_in_flight(triptych) == 0)
    return executions(triptych.triton_grpc, UNET)[0]


def rows_in_flight(triptych: Addresses) -> float:
    return metric(triptych.triton_metrics, "triptych_diffusion_rows_in_flight", FAMILY)


def calls_until_quiet(triptych: Addresses, before: int) -> int:
    assert eventually(lambda: rows_in_flight(triptych) == 0)
    return executions(triptych.triton_grpc, UNET)[0] - before


def test_a_cancelled_stream_stops_its_row_within_one_step(
    triptych: Addresses, painter: Painter, calls_before: int
) -> None:
    seen = 0
    with painter.paint(LONG) as events:  # leaving the `with` cancels
        for event in events:
            seen = int(event["step"][0])
            if seen == LEAVES_AFTER:
                break
    assert calls_until_quiet(triptych, calls_before) <= seen + STEPS_AFTER_LEAVING


def test_a_closed_connection_stops_its_row_within_one_step(
    triptych: Addresses, painter: Painter, calls_before: int
) -> None:
    third_step = threading.Event()
    client = triton.InferenceServerClient(triptych.triton_grpc)

    def heard(result: triton.InferResult | None, error: Exception | None) -> None:
        if result is not None and result.as_numpy("step")[0] >= LEAVES_AFTER:
            third_step.set()

    client.start_stream(heard)
    client.async_stream_infer(FAMILY, painter._inputs(LONG))
    assert third_step.wait(60)
    client._channel.close()  # no cancelling before: the connection is simply gone
    assert calls_until_quiet(triptych, calls_before) <= LEAVES_AFTER + STEPS_AFTER_LEAVING


def test_a_killed_client_stops_its_row_within_one_step(triptych: Addresses, calls_before: int) -> None:
    command = [sys.executable, "-c", _CLIENT.format(wishes=LONG), triptych.triton_grpc]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        seen = 0
        while seen < LEAVES_AFTER:
            seen = int(client.stdout.readline())
        os.kill(client.pid, signal.SIGKILL)
        assert calls_until_quiet(triptych, calls_before) <= seen + STEPS_AFTER_LEAVING


def test_a_cancelled_row_leaves_its_company_as_it_was(triptych: Addresses, painter: Painter) -> None:
    wishes = LONG | {"steps": 8}
    (alone,) = Painting(painter, wishes).wait().images
    with Painting(painter, LONG | {"seed": 2}) as other:
        other.wait_for_step()
        staying = Painting(painter, wishes).wait_for_step()
        other.cancel()
        assert staying.wait().images == [alone]


def test_two_hundred_requests_half_of_them_cancelled_leave_nothing_behind(
    triptych_process: TriptychProcess, triptych: Addresses, painter: Painter
) -> None:
    ask_and_leave(painter, rounds=6)  # what is made once and kept is made now
    assert eventually(lambda: rows_in_flight(triptych) == 0)
    before = belongings(triptych_process)
    ask_and_leave(painter, rounds=20)
    assert eventually(lambda: rows_in_flight(triptych) == 0)
    assert eventually(lambda: not grown(before, belongings(triptych_process))), "\n".join(
        f"{was} -> {now}" for was, now in grown(before, belongings(triptych_process))
    )


def ask_and_leave(painter: Painter, rounds: int) -> None:
    """Ten requests a round, five of which are left after their first step."""
    for number in range(rounds):
        wishes = {"prompt": "a red circle", "steps": 4 + number % 4, "seed": number}
        paintings = [Painting(painter, wishes | ({} if index % 2 else {"steps": 100})) for index in range(10)]
        for painting in paintings[::2]:
            painting.wait_for_step().cancel()
        for painting in paintings[1::2]:
            painting.wait()
        for painting in paintings:
            assert painting.is_over.wait(60)


@dataclass(frozen=True)
class Belongings:
    """What a process holds."""

    name: str
    threads: int
    files: int
    shared_memory_bytes: int


def belongings(triptych: TriptychProcess) -> dict[int, Belongings]:
    return {
        process.pid: Belongings(process.name(), process.num_threads(), process.num_fds(), shared_memory_of(process))
        for process in psutil.Process(triptych.process.pid).children(recursive=True)
    }


def shared_memory_of(process: psutil.Process) -> int:
    mapped = {Path(region.path) for region in process.memory_maps() if region.path.startswith("/dev/shm/")}
    return sum(path.stat().st_size for path in mapped if path.exists())


def grown(before: dict[int, Belongings], after: dict[int, Belongings]) -> list[tuple[Belongings, Belongings]]:
    """Who holds more than before, was and is."""
    assert before.keys() == after.keys()
    return [(was, after[pid]) for pid, was in before.items() if holds_more(was, after[pid])]


def holds_more(was: Belongings, now: Belongings) -> bool:
    is_triton = was.name == "tritonserver"  # which has all the others' shared memory too
    spare = GRPC_SPARE if is_triton else 0
    return (
        now.threads > was.threads + spare
        or now.files > was.files + spare
        or (not is_triton and now.shared_memory_bytes > was.shared_memory_bytes + SHARED_MEMORY_STEP_BYTES)
    )
