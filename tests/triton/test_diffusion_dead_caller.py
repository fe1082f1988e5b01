"""A killed process that waits for pictures holds up nobody, and comes back. The demo family in a Triptych of its own.

Triton does not tell the called model that its caller is dead, and would keep for ever whatever thread sends to it.
"""

import os
import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from embedded import processes
from tests.clients import Painting, metric
from tests.served_family import ask_once, inputs
from tests.triptych_process import TriptychProcess, running_triptych
from tests.triton.conftest import eventually
from triptych.painting import Painter

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

FAMILY, CALLER, NETWORK = "demo", "demo_image", "demo_unet"
# More than the 32 threads that Triton has for all answers and calls of a model.
WAITING = 40
SMALL = {"width": 64, "height": 64}
REPAIRED_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def own_triptych(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TriptychProcess]:
    with running_triptych(tmp_path_factory.mktemp("dead_caller")) as triptych:
        yield triptych


def test_a_killed_process_that_waits_for_pictures_holds_up_nobody_and_comes_back(own_triptych: TriptychProcess) -> None:
    address = own_triptych.addresses.triton_grpc
    painter = Painter(address, FAMILY)
    with Painting(painter, {"prompt": "a red circle", "steps": 60, **SMALL}).wait_for_step() as in_flight:
        with many_waiting(own_triptych):
            os.kill(process_of(own_triptych, CALLER), signal.SIGKILL)
            assert eventually(lambda: rows_in_flight(own_triptych) <= 1)
        assert not in_flight.is_over.is_set()
        assert len(in_flight.wait().images) == 1
    assert len(Painting(painter, {"prompt": "a new one", "steps": 4}).wait().images) == 1
    assert eventually(lambda: answers(address), REPAIRED_WITHIN_S)


def test_who_waits_for_pictures_whose_network_is_killed_is_told(own_triptych: TriptychProcess) -> None:
    """Triton 2.51 loses an error that comes after other answers, so all would wait for ever."""
    with many_waiting(own_triptych) as errors:
        os.kill(process_of(own_triptych, NETWORK), signal.SIGKILL)
        told = [errors.get(timeout=30) for _ in range(WAITING)]
    assert {error.status() for error in told} == {"StatusCode.UNAVAILABLE"}
    assert all(NETWORK in error.message() for error in told)
    assert eventually(lambda: answers(own_triptych.addresses.triton_grpc), REPAIRED_WITHIN_S)


@contextmanager
def many_waiting(triptych: TriptychProcess) -> Iterator["queue.SimpleQueue[InferenceServerException]"]:
    """Plain requests, each of which the process waits for in a thread, and the errors that they end in."""
    before, errors = rows_in_flight(triptych), queue.SimpleQueue[InferenceServerException]()
    with triton.InferenceServerClient(triptych.addresses.triton_grpc) as client:
        for seed in range(WAITING):
            wishes = {"prompt": b"a blue square", "steps": 100, "seed": seed, **SMALL}
            client.async_infer(CALLER, inputs(FAMILY, wishes), callback=lambda result, error: errors.put(error))
        assert eventually(lambda: rows_in_flight(triptych) == before + WAITING)
        yield errors


def rows_in_flight(triptych: TriptychProcess) -> float:
    return metric(triptych.addresses.triton_metrics, "triptych_diffusion_rows_in_flight", FAMILY)


def process_of(triptych: TriptychProcess, model: str) -> int:
    family = {process.pid for process in psutil.Process(triptych.process.pid).children(recursive=True)}
    (pid,) = (stub.pid for stub in processes.stubs() if stub.model == model and stub.pid in family)
    return pid


def answers(address: str) -> bool:
    try:
        answer = ask_once(address, FAMILY, {"prompt": b"again", "steps": 2})
    except InferenceServerException:
        return False
    return len(answer.as_numpy("image")) == 1
