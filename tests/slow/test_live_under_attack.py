"""A Triptych under attack still says at once that it lives, and grows no process. The real Triton, the demo family.

`pytest -s` prints a table. /health/live is polled by a process of its own, so that what the senders do in ours is not
counted against the server; all of them share the machine's cores with it.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil
import pytest

from tests.slow.attacks import ATTACKS, Statuses
from tests.slow.live_poller import Poll, Polls, polling
from tests.triptych_process import TriptychProcess, running_triptych

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(900)]

ROUNDS = 12
MOST_MS = 100.0
# Of the least that is resident after one of the last rounds against the least after as many before them: what comes and
# goes with a round is not growth.
MAX_GROWTH = 1.05


@dataclass
class Suffered:
    """What one kind of attack did, over all rounds."""

    polls: list[Poll] = field(default_factory=list)
    statuses: Statuses = field(default_factory=Counter)
    seconds: float = 0.0


@dataclass
class Siege:
    suffered: dict[str, Suffered]
    resident_mb: list[dict[str, float]]  # after each round, by process

    @property
    def polls(self) -> list[Poll]:
        return [poll for each in self.suffered.values() for poll in each.polls]

    def resident_of(self, process: str, number: int) -> float:
        """The largest, where there is more than one: tritonserver stands below a process that has its arguments too."""
        return max(size for name, size in self.resident_mb[number].items() if process in name)


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    with running_triptych(tmp_path_factory.mktemp("besieged")) as triptych:
        polls_file = tmp_path_factory.mktemp("polls") / "polls"
        with polling(triptych.addresses.rest, _orchestrator(triptych).pid, polls_file) as polls:
            siege = _besieged(triptych, polls)
        sys.stdout.write(f"\n{_table(siege)}\n")
        yield siege


def test_health_live_is_answered_at_once_all_the_while(siege: Siege) -> None:
    """On a machine that does nothing else: of a slow poll it is shown how long the server had no core."""
    assert [poll for poll in siege.polls if poll.status != 200 or poll.ms > MOST_MS] == []


def test_nothing_is_an_error_of_ours(siege: Siege) -> None:
    assert not any(each.statuses[500] for each in siege.suffered.values())


@pytest.mark.parametrize("process", ["-m orchestrator", "tritonserver --"])
def test_memory_is_steady(siege: Siege, process: str) -> None:
    sizes = [siege.resident_of(process, number) for number in range(ROUNDS)]
    third = ROUNDS // 3
    assert min(sizes[-third:]) / min(sizes[-2 * third : -third]) < MAX_GROWTH, sizes


def _besieged(triptych: TriptychProcess, polls: Polls) -> Siege:
    port = int(triptych.addresses.rest.rpartition(":")[2])
    siege = Siege({name: Suffered() for name in ATTACKS}, [])
    for _ in range(ROUNDS):
        for name, attack in ATTACKS.items():
            began_s = time.monotonic()
            statuses = attack(port)
            time.sleep(0.5)  # for what comes after: streams that end, connections that are closed
            ended_s = time.monotonic()
            suffered = siege.suffered[name]
            suffered.polls += polls.between(began_s, ended_s)
            suffered.statuses += statuses
            suffered.seconds += ended_s - began_s
        siege.resident_mb.append(_resident_mb(triptych))
    return siege


def _orchestrator(triptych: TriptychProcess) -> psutil.Process:
    (found,) = (each for each in psutil.Process(triptych.process.pid).children() if "orchestrator" in each.cmdline())
    return found


def _resident_mb(triptych: TriptychProcess) -> dict[str, float]:
    """By process: its own, and what it shares."""
    root = psutil.Process(triptych.process.pid)
    family = [root, *root.children(recursive=True)]
    return {f"{each.pid} {' '.join(each.cmdline())}": each.memory_info().rss / 2**20 for each in family}


def _table(siege: Siege) -> str:
    lines = [f"{'':36} {'':5} {'':6} {'worst':>6} {'':5} {'of it with-':>11} {'poller':>7}"]
    lines += [f"{'attack':36} {'s':>5} {'polls':>6} {'ms':>6} {'>100':>5} {'out a core':>11} {'late ms':>7}  answers"]
    for name, each in siege.suffered.items():
        worst = max(each.polls, key=lambda poll: poll.ms)
        slow = sum(poll.ms > MOST_MS for poll in each.polls)
        late_ms = max(poll.late_ms for poll in each.polls)
        answers = ", ".join(f"{status or 'none'}: {count}" for status, count in sorted(each.statuses.items()))
        lines.append(
            f"{name:36} {each.seconds:5.1f} {len(each.polls):6} {worst.ms:6.1f} {slow:5} {worst.without_core_ms:11.1f} "
            f"{late_ms:7.1f}  {answers}"
        )
    lines.append("MB resident after each round:")
    for name in siege.resident_mb[0]:
        sizes = " ".join(f"{each.get(name, 0):7.1f}" for each in siege.resident_mb)
        lines.append(f"  {sizes}  {name[-70:]}")
    return "\n".join(lines)
