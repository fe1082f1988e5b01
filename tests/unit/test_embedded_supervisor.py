"""The supervisor's patience, with a server that never comes back."""

import logging
import os
from collections.abc import Callable
from typing import cast

import pytest

from embedded import supervisor
from embedded.server import ModelsNotLoaded, ServerEnded, TritonServer
from embedded.supervisor import Supervisor
from modelcore.errors import SetupProblem


class DeadServer:
    """Ends whenever it is started; after so many starts it has the supervisor stopped."""

    guardian_pid = 0

    def __init__(self, starts: int, problem: SetupProblem) -> None:
        self.starts_left = starts
        self.problem = problem
        self.supervisor: Supervisor | None = None

    def is_alive(self) -> bool:
        return False

    def start(self) -> None:
        self.starts_left -= 1

    def trim_log(self) -> None:
        """Nothing was written."""

    def wait_ready(self, timeout_s: float, *, give_up: Callable[[], bool]) -> list[str]:
        assert self.supervisor is not None
        if self.starts_left == 0:
            self.supervisor.stop()
        raise self.problem


def watch(server: DeadServer) -> None:
    server.supervisor = Supervisor(cast(TritonServer, server))
    server.supervisor.run()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE_S", 0.004)


def test_pauses_grow_while_it_keeps_dying_but_not_without_end(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "embedded.supervisor"):
        watch(DeadServer(4, ServerEnded("no memory")))
    pauses = [record.args for record in caplog.records if "starting it again" in record.msg]
    assert pauses == [(0.001,), (0.002,), (0.004,), (0.004,)]


def test_why_it_did_not_come_back_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    watch(DeadServer(1, ModelsNotLoaded("Triton cannot load unet: no such file")))
    assert "not whole: Triton cannot load unet: no such file" in caplog.text


class TalkativeServer:
    """Lives, and has the supervisor stopped once its log has been looked at."""

    guardian_pid = os.getpid()

    def __init__(self) -> None:
        self.supervisor = Supervisor(cast(TritonServer, self))
        self.trims = 0

    def is_alive(self) -> bool:
        return True

    def trim_log(self) -> None:
        self.trims += 1
        self.supervisor.stop()


def test_the_log_of_a_server_that_runs_for_long_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOG_CHECK_S", 0.001)
    server = TalkativeServer()
    server.supervisor.run()
    assert server.trims == 1
