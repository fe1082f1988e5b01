"""Asks /health/live every 50 ms over one connection, in a process of its own: `python -m tests.slow.live_poller`.

One line per poll: when it began, by the clock that all processes of a machine share, how long the answer took, its
status, and two numbers that tell of the machine: how much later than meant the poll began, and how long the server's
main thread was ready to run meanwhile and had no core.
"""

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

EVERY_S = 0.05
TIMEOUT_S = 30.0
PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Poll:
    began_s: float
    ms: float
    status: int  # 0 where there was no answer
    late_ms: float
    without_core_ms: float


class Polls:
    def __init__(self, file: Path) -> None:
        self._file = file

    def between(self, began_s: float, ended_s: float) -> list[Poll]:
        """Those that were under way at any time in between."""
        return [poll for poll in self._all() if poll.began_s <= ended_s and poll.began_s + poll.ms / 1000 >= began_s]

    def _all(self) -> list[Poll]:
        lines = self._file.read_text().rpartition("\n")[0].splitlines()  # the last may be half written
        return [
            Poll(float(began), float(ms), int(status), float(late), float(without_core))
            for began, ms, status, late, without_core in map(str.split, lines)
        ]


@contextmanager
def polling(address: str, server_id: int, file: Path) -> Iterator[Polls]:
    command = [sys.executable, "-m", __spec__.name, address, str(server_id)]
    with (
        file.open("w") as output,
        # In a session of its own, which the kernel gives a share of the cores beside the senders' one.
        subprocess.Popen(command, cwd=PROJECT, stdout=output, start_new_session=True) as poller,
    ):
        try:
            yield Polls(file)
        finally:
            poller.terminate()


def main(address: str, server_id: str) -> None:
    # Of its main thread: nanoseconds on a core, nanoseconds ready and without one, and how often.
    schedule = Path(f"/proc/{server_id}/schedstat")
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    meant_s = time.monotonic()
    while True:
        waited_ns = int(schedule.read_text().split()[1])
        began_s = time.monotonic()
        status = _status(connection)
        ms = (time.monotonic() - began_s) * 1000
        late_ms, without_core_ms = (began_s - meant_s) * 1000, (int(schedule.read_text().split()[1]) - waited_ns) / 1e6
        sys.stdout.write(f"{began_s:.4f} {ms:.1f} {status} {late_ms:.1f} {without_core_ms:.1f}\n")
        sys.stdout.flush()
        meant_s = time.monotonic() + EVERY_S
        time.sleep(EVERY_S)


def _status(connection: http.client.HTTPConnection) -> int:
    try:
        connection.request("GET", "/health/live")
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()  # the next poll opens it again
        return 0
    return answer.status


if __name__ == "__main__":
    main(*sys.argv[1:])
