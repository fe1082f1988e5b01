"""Rounds of the watchdog on a scripted server and a clock that the test turns."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest

from modelcore.catalog import CATALOG, PROBES
from modelcore.errors import (
    DeadlineExceeded,
    InternalFault,
    ModelUnavailable,
    Overloaded,
    TriptychError,
    Unavailable,
)
from orchestrator.tensors import Array, Arrays
from orchestrator.triton import ModelStatistics
from orchestrator.watchdog.repairs import RepairRules, Repairs
from orchestrator.watchdog.watch import Watchdog, WatchRules

RULES = WatchRules(interval_s=2, probe_deadline_s=4, statistics_deadline_s=2, hung_after_s=7)
REPAIR_RULES = RepairRules(
    load_deadline_s=120, retry_pause_s=10, restart_after=2, restart_after_repairs=6, restart_pause_s=60
)
OUTPUTS = {model.name: [tensor.name for tensor in model.outputs] for model in CATALOG}


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class ScriptedTriton:
    """Fails the models in `errors`; a call that misses its deadline moves the clock by it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.errors: dict[str, TriptychError] = {}
        self.silent: TriptychError | None = None
        self.heals_on_load = True
        self.refuses_to_load: TriptychError | None = None
        self.loads: list[str] = []
        self.calls: list[str] = []
        self.successes: Counter[str] = Counter()
        self.successes_per_probe: Counter[str] = Counter()
        self.slowest_batch_s = 0.0

    async def infer(self, model: str, _inputs: Mapping[str, Array], *, deadline_s: float) -> Arrays:
        self.calls.append(model)
        self.successes[model] += self.successes_per_probe[model]
        error = self.errors.get(model)
        if isinstance(error, DeadlineExceeded):
            self.clock.now_s += deadline_s
        if error is not None:
            raise error
        return {name: np.zeros(1) for name in OUTPUTS[model]}

    async def is_model_ready(self, model: str, *, deadline_s: float) -> bool:
        return model not in self.errors

    async def statistics(self, *, deadline_s: float) -> dict[str, ModelStatistics]:
        if self.silent is not None:
            self.clock.now_s += deadline_s
            raise self.silent
        return {model.name: ModelStatistics(self.successes[model.name], self.slowest_batch_s) for model in CATALOG}

    async def load_again(self, model: str, *, deadline_s: float) -> None:
        self.loads.append(model)
        if self.refuses_to_load is not None:
            raise self.refuses_to_load
        if self.heals_on_load:
            self.errors.pop(model, None)


class ScriptedSupervisor:
    def __init__(self) -> None:
        self.commands: list[str] = []
        self.refuses: TriptychError | None = None

    async def kill_stub(self, model: str) -> None:
        await self._note(f"kill-stub {model}")

    async def restart(self) -> None:
        await self._note("restart")

    async def _note(self, command: str) -> None:
        self.commands.append(command)
        if self.refuses is not None:
            raise self.refuses


class Bench:
    """A watchdog with everything it touches."""

    def __init__(self, *, supervised: bool = True) -> None:
        self.clock = Clock()
        self.triton = ScriptedTriton(self.clock)
        self.supervisor = ScriptedSupervisor()
        self.counted: list[tuple[str, str]] = []
        repairs = Repairs(
            self.triton,
            self.supervisor if supervised else None,
            REPAIR_RULES,
            count=lambda model, action: self.counted.append((model, action)),
            clock=self.clock,
        )
        self.watchdog = Watchdog(self.triton, CATALOG, repairs, RULES, clock=self.clock, probes=PROBES)

    async def rounds(self, number: int, pause_s: float = 0.25) -> None:
        for _ in range(number):
            await self.watchdog.round()
            self.clock.now_s += pause_s

    async def repairs(self, number: int) -> None:
        """A network that is well again after each."""
        for _ in range(number):
            self.triton.errors["clip_text"] = dead("clip_text")
            await self.rounds(1)
            self.triton.errors.clear()
            await self.rounds(1)


def dead(model: str) -> ModelUnavailable:
    return ModelUnavailable(model, "has stopped")


def late() -> DeadlineExceeded:
    return DeadlineExceeded("late")


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_every_step_of_every_ensemble_is_probed(bench: Bench) -> None:
    assert await bench.watchdog.round() is True
    steps = ["clip_image", "clip_preprocess", "clip_text", "clip_tokenize", "demo_image", "segment"]
    assert sorted(bench.triton.calls) == steps


async def test_a_dead_segment_is_found_though_nobody_asks_it(bench: Bench) -> None:
    bench.triton.errors["segment"] = dead("segment")
    await bench.rounds(1)
    assert bench.triton.loads == ["segment"]


async def test_a_dead_stub_is_loaded_again_at_once(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = dead("clip_text")
    assert await bench.watchdog.round() is False
    assert bench.triton.loads == ["clip_text"]
    assert await bench.watchdog.round() is True


async def test_two_dead_stubs_are_both_loaded_in_one_round(bench: Bench) -> None:
    bench.triton.errors |= {name: dead(name) for name in ("clip_text", "clip_image")}
    await bench.watchdog.round()
    assert sorted(bench.triton.loads) == ["clip_image", "clip_text"]


async def test_an_ensemble_that_was_dropped_is_loaded_again(bench: Bench) -> None:
    bench.triton.errors["clip_text_string"] = dead("clip_text_string")
    await bench.rounds(2)
    assert bench.triton.loads == ["clip_text_string"]


async def test_an_ill_model_is_named_until_it_is_well(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = dead("clip_text")
    await bench.watchdog.round()
    assert bench.watchdog.ailments() == {"clip_text": "has stopped"}
    await bench.watchdog.round()
    assert bench.watchdog.ailments() == {}


async def test_a_hung_stub_is_killed_then_loaded(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = late()
    await bench.rounds(2)
    assert (bench.supervisor.commands, bench.triton.loads) == (["kill-stub clip_text"], ["clip_text"])


async def test_what_is_left_of_a_dead_stub_is_killed_too(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = dead("clip_text")
    await bench.watchdog.round()
    assert bench.supervisor.commands == ["kill-stub clip_text"]


async def test_a_hung_stub_is_treated_within_ten_seconds(bench: Bench) -> None:
    hung_s = bench.clock.now_s
    bench.triton.errors["clip_text"] = late()
    bench.clock.now_s += RULES.interval_s
    while not bench.triton.loads:
        await bench.rounds(1)
    assert bench.clock.now_s - hung_s < 11


async def test_one_late_answer_is_no_hang(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = late()
    await bench.rounds(1)
    bench.triton.errors.clear()
    await bench.rounds(1)
    bench.triton.errors["clip_text"] = late()
    await bench.rounds(1)
    assert bench.triton.loads == []


async def test_an_overloaded_model_that_still_finishes_work_is_left_alone(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = late()
    bench.triton.successes_per_probe["clip_text"] = 1
    await bench.rounds(20)
    assert (bench.supervisor.commands, bench.triton.loads) == ([], [])


async def test_a_full_queue_behind_a_hung_stub_is_a_hang(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = Overloaded("queue full")
    await bench.rounds(8, pause_s=1)
    assert bench.supervisor.commands == ["kill-stub clip_text"]


async def test_a_slow_model_gets_three_of_its_own_batches(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = late()
    bench.triton.slowest_batch_s = 5
    await bench.rounds(3)
    assert bench.triton.loads == []
    await bench.rounds(1)
    assert bench.triton.loads == ["clip_text"]


async def test_without_a_supervisor_a_hung_model_is_only_loaded() -> None:
    bench = Bench(supervised=False)
    bench.triton.errors["clip_text"] = late()
    await bench.rounds(2)
    assert bench.triton.loads == ["clip_text"]


async def test_a_supervisor_that_refuses_does_not_stop_the_load(bench: Bench) -> None:
    bench.supervisor.refuses = Unavailable("no")
    bench.triton.errors["clip_text"] = late()
    await bench.rounds(2)
    assert bench.triton.loads == ["clip_text"]


async def test_two_loads_in_vain_restart_triton(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = dead("clip_text")
    bench.triton.heals_on_load = False
    await bench.rounds(3)
    assert bench.triton.loads == ["clip_text"] * 2
    assert bench.supervisor.commands[-1] == "restart"


async def test_triton_is_not_restarted_again_before_the_pause_is_over(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = dead("clip_text")
    bench.triton.heals_on_load = False
    await bench.rounds(50, pause_s=1)
    assert bench.supervisor.commands.count("restart") == 1
    await bench.rounds(20, pause_s=1)
    assert bench.supervisor.commands.count("restart") == 2


async def test_a_recovery_between_two_illnesses_starts_the_count_again(bench: Bench) -> None:
    for _ in range(5):
        bench.triton.errors["clip_text"] = dead("clip_text")
        await bench.rounds(2)
    assert "restart" not in bench.supervisor.commands


async def test_triton_is_restarted_in_place_of_the_repair_that_would_be_one_too_many(bench: Bench) -> None:
    await bench.repairs(REPAIR_RULES.restart_after_repairs + 1)
    assert len(bench.triton.loads) == REPAIR_RULES.restart_after_repairs
    assert bench.supervisor.commands[-1] == "restart"


async def test_after_a_restart_the_repairs_are_counted_anew(bench: Bench) -> None:
    await bench.repairs(2 * REPAIR_RULES.restart_after_repairs)
    assert bench.supervisor.commands.count("restart") == 1


async def test_a_model_that_triton_refuses_to_load_is_tried_again_after_a_pause(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = dead("clip_text")
    bench.triton.refuses_to_load = InternalFault("bad file")
    await bench.rounds(9, pause_s=1)
    assert bench.triton.loads == ["clip_text"]
    await bench.rounds(2, pause_s=1)
    assert bench.triton.loads == ["clip_text"] * 2
    assert "restart" not in bench.supervisor.commands


async def test_a_server_that_is_starting_is_left_alone(bench: Bench) -> None:
    bench.triton.silent = Unavailable("connection refused")
    await bench.rounds(50)
    assert (bench.supervisor.commands, bench.triton.calls) == ([], [])


async def test_a_server_that_says_nothing_at_all_is_restarted(bench: Bench) -> None:
    bench.triton.silent = late()
    await bench.rounds(4)
    assert bench.supervisor.commands == ["restart"]


async def test_a_model_that_fails_otherwise_is_named_but_not_treated(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = InternalFault("a bug")
    await bench.rounds(5)
    assert (bench.watchdog.ailments(), bench.triton.loads) == ({"clip_text": "fails a probe"}, [])


async def test_a_report_about_a_model_that_probes_reach_is_checked_first(bench: Bench) -> None:
    bench.watchdog.failed("clip_text_string", dead("clip_text"))
    await bench.rounds(1)
    assert bench.triton.loads == []


async def test_a_report_about_a_model_out_of_reach_is_believed_once(bench: Bench) -> None:
    bench.watchdog.failed("sam2_encoder", dead("sam2_encoder"))
    await bench.rounds(2)
    assert bench.triton.loads == ["sam2_encoder"]


async def test_every_action_is_counted(bench: Bench) -> None:
    bench.triton.errors["clip_text"] = late()
    bench.triton.heals_on_load = False
    await bench.rounds(6)
    assert bench.counted == [
        ("clip_text", "kill_stub"),
        ("clip_text", "load"),
        ("clip_text", "kill_stub"),
        ("clip_text", "load"),
        ("triton", "restart"),
    ]


async def test_a_round_that_fails_of_a_surprise_is_not_the_last(bench: Bench) -> None:
    rounds: asyncio.Queue[int] = asyncio.Queue()

    async def surprise(*, deadline_s: float) -> dict[str, ModelStatistics]:
        rounds.put_nowait(1)
        raise KeyError("surprise")

    bench.triton.statistics = surprise  # type: ignore[method-assign]
    watching = asyncio.create_task(bench.watchdog.run())
    await asyncio.wait_for(rounds.get(), timeout=10)
    bench.watchdog.failed("clip_text", dead("clip_text"))
    await asyncio.wait_for(rounds.get(), timeout=10)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
