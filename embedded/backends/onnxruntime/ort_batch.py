"""Many requests as few runs: group what may run together, stack it, and hand each request its own rows.

Plain arrays in, plain arrays out. Knows nothing of Triton or ONNX Runtime; is given a `run`.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]
Run = Callable[[Sequence[str], Arrays], Sequence[Array]]


class RunFailed(Exception):
    """One request's failure. `is_callers_fault` says whether another input could have succeeded."""

    def __init__(self, reason: str, *, is_callers_fault: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_callers_fault = is_callers_fault

    def without_frames(self) -> "RunFailed":
        """To be kept. The frames it came through hold the request's tensors, and at their outer end itself.

        Such a circle waits for the cycle collector, which counts objects and not bytes: failed requests of 20 MB would
        fill the memory that Triton shares with us before it comes.
        """
        self.__context__ = None
        return self.with_traceback(None)


@dataclass(frozen=True)
class Call:
    """One request: the arrays it brought, and the outputs it asked for."""

    inputs: Arrays
    outputs: tuple[str, ...]


def run_calls(calls: Sequence[Call], run: Run, *, batches: bool) -> list[Arrays | RunFailed]:
    """The answer to each call, in order. A call that fails takes no other with it."""
    if not batches:
        return [_run_alone(call, run) for call in calls]
    answers: list[Arrays | RunFailed] = [{}] * len(calls)
    for members in _groups(calls):
        for member, answer in zip(members, _run_group([calls[m] for m in members], run), strict=True):
            answers[member] = answer
    return answers


def _groups(calls: Sequence[Call]) -> list[list[int]]:
    """Positions of the calls that can share a run: same tensors, same dims past the batch."""
    if len(calls) == 1:
        return [[0]]
    groups: dict[Any, list[int]] = {}
    for position, call in enumerate(calls):
        key = tuple((name, array.shape[1:]) for name, array in call.inputs.items())
        groups.setdefault(key, []).append(position)
    return list(groups.values())


def _run_alone(call: Call, run: Run) -> Arrays | RunFailed:
    try:
        return dict(zip(call.outputs, run(call.outputs, call.inputs), strict=True))
    except RunFailed as failure:
        return failure.without_frames()


def _run_group(calls: Sequence[Call], run: Run) -> Sequence[Arrays | RunFailed]:
    try:
        return _run_stacked(calls, run)
    except RunFailed as failure:
        spoilt = failure.without_frames()
    if len(calls) == 1:
        return [spoilt]
    # One bad call spoils the stack: find out which, and answer the others.
    return [answer for call in calls for answer in _run_group([call], run)]


def _run_stacked(calls: Sequence[Call], run: Run) -> list[Arrays]:
    wanted = tuple(dict.fromkeys(name for call in calls for name in call.outputs))
    rows = [len(next(iter(call.inputs.values()))) for call in calls]
    results = dict(zip(wanted, run(wanted, _stack(calls)), strict=True))
    for name, result in results.items():
        _check_rows(name, result, sum(rows))
    ends = itertools.accumulate(rows)
    # Slices along the first dimension are views: nothing is copied until Triton takes the answer.
    return [
        {name: results[name][end - count : end] for name in call.outputs}
        for call, count, end in zip(calls, rows, ends, strict=True)
    ]


def _stack(calls: Sequence[Call]) -> Arrays:
    if len(calls) == 1:
        return calls[0].inputs  # the very memory that Triton shares with us
    return {name: np.concatenate([call.inputs[name] for call in calls]) for name in calls[0].inputs}


def _check_rows(name: str, result: Array, rows: int) -> None:
    if result.ndim == 0 or len(result) != rows:
        raise RunFailed(
            f"output '{name}' has dims {list(result.shape)} for a batch of {rows}: the graph does "
            "not keep the batch dimension; serve it with max_batch_size 0",
            is_callers_fault=False,
        )
