"""Storms of kill -9 on everything that can be killed. None of the jobs is lost, none done twice in its effects."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.faults.parts import TritonPart
from tests.faults.sites import Site, alone, beside, check_nothing_left, children, running_triton, single
from tests.faults.storm import Plan, check_all, show, weather

pytestmark = pytest.mark.triton
SEED = int(os.environ.get("STORM_SEED", "7"))
# The contract's proportions, in a hurry; long enough for a busy machine to be heard of in time.
QUICK = {"TRIPTYCH_JOB_LEASE_S": "6", "TRIPTYCH_JOB_HEARTBEAT_S": "1"}


@pytest.fixture(scope="module", autouse=True)
def no_leftovers() -> Iterator[None]:
    before = children()
    yield
    check_nothing_left(before)


@pytest.fixture(scope="module")
def triton(no_leftovers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonPart]:
    """One for all storms that do not begin by killing it: it takes longer to start than everything else."""
    with running_triton(tmp_path_factory.mktemp("triton")) as triton:
        yield triton


def storm(site_of_storm: AbstractContextManager[Site], plan: Plan) -> None:
    with site_of_storm as site:
        tally, wishes = weather(site, plan)
        show(plan, site.books, tally)
        check_all(site.books, tally, wishes)


def test_a_squall_of_five_blows_loses_no_job_and_doubles_none(tmp_path: Path, triton: TritonPart) -> None:
    kills = {"orchestrator": 1, "worker": 1, "Triton": 1, "Redis": 1, "Redis emptied": 1}
    storm(beside(tmp_path, QUICK, triton), Plan(SEED, 24, kills, patience_s=150.0))


def test_an_orchestrator_that_works_alone_is_killed_and_loses_no_job(tmp_path: Path, triton: TritonPart) -> None:
    storm(single(tmp_path, QUICK, triton), Plan(SEED, 12, {"orchestrator": 2}, patience_s=150.0))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fifty_kills_among_a_thousand_jobs_lose_none_and_double_none(tmp_path: Path, triton: TritonPart) -> None:
    kills = {"orchestrator": 16, "worker": 19, "Triton": 6, "Redis": 9, "Redis emptied": 2}
    storm(beside(tmp_path, {}, triton), Plan(SEED, 1_000, kills, patience_s=3600.0))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_killing_the_whole_of_it_ten_times_among_two_hundred_jobs_loses_none(tmp_path: Path) -> None:
    storm(alone(tmp_path, {}), Plan(SEED, 200, {"whole": 10}, patience_s=3600.0))
