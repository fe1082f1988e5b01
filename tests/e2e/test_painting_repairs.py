"""A family that paints, with one of its processes killed, while nobody but Triton's own clients asks for pictures."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from embedded import processes
from modelcore.errors import TriptychError
from tests.triptych_process import TriptychProcess, running_triptych
from tests.triton.conftest import eventually
from triptych.painting import Painter

WISHES = {"prompt": "a large red circle", "steps": 2, "seed": 7}
REPAIRED_WITHIN_S = 60.0

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]


@pytest.mark.parametrize("model", ["demo", "demo_image", "demo_unet"])
def test_a_killed_process_of_a_family_is_repaired(model: str, tmp_path: Path) -> None:
    with running_triptych(tmp_path) as triptych:
        assert paints(triptych)
        (pid,) = (stub.pid for stub in processes.stubs() if stub.model == model and is_of(triptych, stub.pid))
        os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: has_new_process(triptych, model, pid) and paints(triptych), REPAIRED_WITHIN_S)


def paints(triptych: TriptychProcess) -> bool:
    try:
        with Painter(triptych.addresses.triton_grpc, "demo").paint(WISHES) as events:
            return any("image" in event for event in events)
    except TriptychError:
        return False


def has_new_process(triptych: TriptychProcess, model: str, old_pid: int) -> bool:
    """Asking for a picture is what makes a dead network known, so it goes first."""
    paints(triptych)
    return any(stub.model == model and stub.pid != old_pid and is_of(triptych, stub.pid) for stub in processes.stubs())


def is_of(triptych: TriptychProcess, pid: int) -> bool:
    try:
        return any(parent.pid == triptych.process.pid for parent in psutil.Process(pid).parents())
    except psutil.NoSuchProcess:
        return False
