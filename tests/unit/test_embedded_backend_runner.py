"""Runs of the onnxruntime backend: on trial, and with rows that are shared out among the cores."""

import gc
import sys
import threading
import types
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# The backend's folder stands alone: Triton puts it on the path, and so do we.
sys.path.append(str(Path(__file__).parents[2] / "embedded" / "backends" / "onnxruntime"))
from ort_batch import Call, RunFailed, run_calls
from ort_runner import Runner, SplitRunner

Array = np.ndarray[Any, Any]
CORES = 2
LONGEST = 4
PATIENCE_S = 10.0


def test_only_what_is_larger_than_all_that_succeeded_runs_on_trial() -> None:
    asked: list[str] = []

    def run(outputs: list[str], inputs: dict[str, Any], options: str) -> list[Any]:
        asked.append(options)
        if inputs["x"].size > LONGEST:
            raise ValueError("too long")
        return [inputs["x"]]

    runner = Runner("net", types.SimpleNamespace(run=run), "plain", "trial")
    for size in (LONGEST, LONGEST - 1, LONGEST):
        runner(["y"], {"x": np.zeros(size)})
    for _ in range(2):
        with pytest.raises(RunFailed, match="model 'net' could not run: too long"):
            runner(["y"], {"x": np.zeros(LONGEST + 1)})
    assert asked == ["trial", "plain", "plain", "trial", "trial"]


class Recording:
    """Adds 1 to x, and remembers the rows of each run."""

    def __init__(self) -> None:
        self.runs: list[list[float]] = []

    def __call__(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> Sequence[Array]:
        self.runs.append(inputs["x"].tolist())
        return [inputs["x"] + 1 for _ in outputs]


def rows(count: int) -> dict[str, Array]:
    return {"x": np.arange(count, dtype=np.float32)}


def test_each_core_gets_as_many_rows_and_answers_keep_their_order() -> None:
    whole, single = Recording(), Recording()
    answers = SplitRunner(whole, single, CORES)(["y", "z"], rows(6))
    assert [answer.tolist() for answer in answers] == [[1, 2, 3, 4, 5, 6]] * 2
    assert sorted(single.runs) == [[0, 1, 2], [3, 4, 5]]
    assert whole.runs == []


@pytest.mark.parametrize("count", [0, 1, 3])
def test_rows_that_do_not_come_out_even_are_computed_by_all_cores_together(count: int) -> None:
    whole, single = Recording(), Recording()
    (answer,) = SplitRunner(whole, single, CORES)(["y"], rows(count))
    assert answer.tolist() == [number + 1 for number in range(count)]
    assert (len(whole.runs), single.runs) == (1, [])


def test_cores_compute_at_the_same_time() -> None:
    meeting = threading.Barrier(CORES, timeout=PATIENCE_S)

    def single(_outputs: Sequence[str], inputs: Mapping[str, Array]) -> Sequence[Array]:
        meeting.wait()  # breaks, and fails the test, where one of them comes after the other
        return [inputs["x"]]

    SplitRunner(Recording(), single, CORES)(["y"], rows(2))


class Meeting:
    """Runs that begin together. The one with this row fails; the others remember theirs."""

    def __init__(self, failing: float) -> None:
        self._begun = threading.Barrier(CORES, timeout=PATIENCE_S)
        self._failing = failing
        self.ended: list[float] = []

    def __call__(self, _outputs: Sequence[str], inputs: Mapping[str, Array]) -> Sequence[Array]:
        self._begun.wait()
        row = float(inputs["x"][0])
        if row == self._failing:
            raise RunFailed("no memory", is_callers_fault=False)
        self.ended.append(row)
        return [inputs["x"]]


def test_a_failure_is_told_when_nobody_reads_the_inputs_any_more() -> None:
    single = Meeting(failing=0.0)
    with pytest.raises(RunFailed, match="no memory"):
        SplitRunner(Recording(), single, CORES)(["y"], rows(2))
    assert single.ended == [1.0]


def test_a_failure_of_another_core_is_told() -> None:
    with pytest.raises(RunFailed, match="no memory"):
        SplitRunner(Recording(), Meeting(failing=1.0), CORES)(["y"], rows(2))


def test_a_failure_of_another_core_holds_no_tensor() -> None:
    calls = [Call({"x": np.array([row], np.float32)}, ("y",)) for row in (0.0, -1.0)]
    tensors = [weakref.ref(call.inputs["x"]) for call in calls]
    gc.disable()  # which undoes circles, some day
    try:
        answers = run_calls(calls, SplitRunner(refuses_negatives, refuses_negatives, CORES), batches=True)
        del calls
        assert [type(answer) for answer in answers] == [dict, RunFailed]
        assert [tensor() for tensor in tensors] == [None, None]
    finally:
        gc.enable()


def refuses_negatives(_outputs: Sequence[str], inputs: Mapping[str, Array]) -> Sequence[Array]:
    if (inputs["x"] < 0).any():
        raise RunFailed("negative", is_callers_fault=True)
    return [inputs["x"] + 1]


def test_what_does_not_fit_together_is_computed_as_a_whole() -> None:
    def total(_outputs: Sequence[str], inputs: Mapping[str, Array]) -> Sequence[Array]:
        return [inputs["x"].sum(keepdims=True)]

    (answer,) = SplitRunner(total, total, CORES)(["y"], rows(4))
    assert answer.tolist() == [6]
