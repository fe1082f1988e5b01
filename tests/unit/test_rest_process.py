"""The keeper of the REST service meets a stranger on its port, who speaks something else."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from modelcore.errors import SetupProblem
from triptych import rest_process
from triptych.rest_process import RestProcess, is_answering


@contextmanager
def stranger(answer: bytes) -> Iterator[int]:
    """Says the same to everyone until it is closed: its port."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b""])
def test_a_stranger_on_the_port_is_a_problem_and_no_crash(answer: bytes) -> None:
    with stranger(answer) as port, pytest.raises(SetupProblem, match="was not ready"):
        RestProcess("127.0.0.1", port, {}).wait_ready(0.0)


def test_a_service_that_refuses_for_want_of_room_is_not_hung() -> None:
    with stranger(b"HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n") as port:
        assert is_answering("127.0.0.1", port)


def test_a_service_that_takes_connections_and_says_nothing_is_hung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_process, "POLL_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not is_answering("127.0.0.1", silent.getsockname()[1])
