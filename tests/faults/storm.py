"""A storm: callers submit and cancel jobs while parts are killed at random moments, then all comes to rest.

An attempt is lost with a worker that is killed, and with Triton. A job that loses all its attempts to kills has failed
honestly, and then nothing could be told from a failed job. So before a deadly blow the storm waits until no job is
left that this blow could fail: whatever fails then was lost by us. As Triton is tried again after 10 s and 20 s
(`JobRules.retry_pause_s`, then twice that), and a worker's job after the lease, that is also what keeps deadly blows
so far apart that an honest system survives them.

Moments are counted in jobs that have ended, not in seconds: a slow machine sees the same storm. Several blows may
fall at the same moment, one while the victim of another is still starting.
"""

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults.books import Books, check_answers, check_bytes, check_jobs, check_pictures
from tests.faults.callers import Caller, Heard, Watcher, Wish
from tests.faults.sites import Site
from tests.storage.servers import wait_until

CALLERS = 4


@dataclass(frozen=True)
class Blow:
    """At the moment when so many jobs have ended."""

    after_jobs: int
    victim: str


@dataclass(frozen=True)
class Plan:
    seed: int
    jobs: int
    kills: Mapping[str, int]
    patience_s: float

    def blows(self) -> list[Blow]:
        """As many moments as blows, so that about a third of the blows share theirs with another."""
        victims = [victim for victim, times in self.kills.items() for _ in range(times)]
        chance = random.Random(self.seed)
        chance.shuffle(victims)
        moments = sorted(chance.randrange(len(victims)) for _ in victims)
        return [
            Blow(self.jobs * moment // (len(victims) + 1), victim)
            for moment, victim in zip(moments, victims, strict=True)
        ]


@dataclass
class Tally:
    """What there is to tell of a storm."""

    kills: Counter[str] = field(default_factory=Counter)
    heard: Heard = field(default_factory=Heard)
    seconds: float = 0.0


def weather(site: Site, plan: Plan) -> tuple[Tally, list[Wish]]:
    """Returns when every accepted job has ended."""
    tally, stopping, started_s = Tally(), threading.Event(), time.monotonic()
    share = plan.jobs // CALLERS
    callers = [Caller(site.url, share, f"{plan.seed}:{number}", tally.heard, stopping) for number in range(CALLERS)]
    threads = [*callers, Watcher(site.url, tally.heard, stopping)]
    for thread in threads:
        thread.start()
    try:
        _strike_all(site, plan, tally)
        wait_until(lambda: not any(caller.is_alive() for caller in callers), "all is submitted", plan.patience_s)
        wait_until(lambda: not site.books.unfinished(), "every job has ended", plan.patience_s)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert [caller.failure for caller in callers] == [None] * CALLERS
    tally.seconds = time.monotonic() - started_s
    return tally, [wish for caller in callers for wish in caller.wishes]


def check_all(books: Books, tally: Tally, wishes: Sequence[Wish]) -> None:
    check_answers(tally.heard)
    check_jobs(books, wishes)
    check_pictures(books, wishes)
    check_bytes(books)


def show(plan: Plan, books: Books, tally: Tally) -> None:
    jobs = books.jobs().values()
    lines = {
        "seed": plan.seed,
        "jobs by end": dict(Counter(job.state for job in jobs)),
        "pictures": len(books.images()),
        "kills by victim": dict(tally.kills),
        "jobs by attempts": dict(sorted(Counter(job.attempt for job in jobs).items())),
        "answers by status": dict(sorted(tally.heard.statuses.items())),
        "requests without an answer": tally.heard.unanswered,
        "longest gap between answers": f"{tally.heard.longest_gap_s:.1f} s",
        "took": f"{tally.seconds:.0f} s",
    }
    sys.stdout.write("\n" + "".join(f"{name:<28}{value}\n" for name, value in lines.items()))
    sys.stdout.flush()


def _strike_all(site: Site, plan: Plan, tally: Tally) -> None:
    chance = random.Random(plan.seed)
    for blow in plan.blows():
        _wait_for_moment(site, plan, blow)
        site.strikes[blow.victim](chance)
        tally.kills[blow.victim] += 1


def _wait_for_moment(site: Site, plan: Plan, blow: Blow) -> None:
    books, patience_s = site.books, plan.patience_s
    wait_until(lambda: books.finished_count() >= blow.after_jobs, f"{blow.after_jobs} jobs ended", patience_s)
    if blow.victim in site.deadly:
        wait_until(lambda: books.is_one_running() or books.finished_count() == plan.jobs, "one is running", patience_s)
        wait_until(lambda: not books.nearly_spent(), "no job is at its last attempt", patience_s)
    if blow.victim == "Redis emptied":
        wait_until(lambda: books.queued_count() > 0 or books.finished_count() == plan.jobs, "one waits", patience_s)
