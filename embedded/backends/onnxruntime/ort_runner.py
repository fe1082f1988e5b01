"""Runs of a session: how one fails, what it may keep of its memory, and rows that are shared out among the cores.

Plain arrays in, plain arrays out. Knows nothing of Triton; is given its sessions.
"""

import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from ort_batch import Array, Arrays, Run, RunFailed

# ONNX Runtime puts its own name and a code before each message, and its source file and function into some.
_ORT_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_ORT_NODE = re.compile(
    r"^Non-zero status code returned while running (?P<kind>\w+) node\. Name:'(?P<name>[^']*)' "
    r"Status Message: (?:/\S+:\d+ .*?\([^)]*\)(?: const)? )?(?P<reason>.*)"
)


class Runner:
    """One session. May be asked by several threads at once."""

    def __init__(self, model: str, session: Any, options: Any, trial_options: Any) -> None:
        """`trial_options` are for runs with larger inputs than any that has succeeded."""
        self._model = model
        self._session = session
        self._options = options
        self._trial_options = trial_options
        self._proven_bytes = 0  # the largest inputs of a run that has succeeded

    def __call__(self, outputs: Sequence[str], inputs: Arrays) -> Sequence[Array]:
        input_bytes = sum(array.nbytes for array in inputs.values())
        options = self._options if input_bytes <= self._proven_bytes else self._trial_options
        try:
            results: Sequence[Array] = self._session.run(list(outputs), inputs, options)
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            reason = plain_reason(error)
            fault = type(error).__name__ == "InvalidArgument"
            raise RunFailed(f"model '{self._model}' could not run: {reason}", is_callers_fault=fault) from None
        self._proven_bytes = max(self._proven_bytes, input_bytes)
        return results


class SplitRunner:
    """Gives each core as many rows, to compute with one thread, where that comes out even.

    Threads that share each node of a small graph wait for each other after every one of them.
    """

    def __init__(self, whole: Run, single_threaded: Run, cores: int) -> None:
        self._whole = whole
        self._single_threaded = single_threaded
        self._cores = cores
        self._others = ThreadPoolExecutor(cores - 1, thread_name_prefix="rows")

    def __call__(self, outputs: Sequence[str], inputs: Arrays) -> Sequence[Array]:
        rows = len(next(iter(inputs.values())))
        if not rows or rows % self._cores:
            return self._whole(outputs, inputs)
        answers = self._answers(outputs, _parts(inputs, rows // self._cores, self._cores))
        results = list(zip(*answers, strict=True))
        if not all(_fit(parts, rows // self._cores) for parts in results):
            return self._whole(outputs, inputs)  # the graph mixes rows: what it makes of all of them is the answer
        return [np.concatenate(parts) for parts in results]

    def _answers(self, outputs: Sequence[str], parts: Sequence[Arrays]) -> list[Sequence[Array]]:
        waiting: list[Future[Sequence[Array]]] = []
        try:
            for part in parts[1:]:
                waiting.append(self._others.submit(self._single_threaded, outputs, part))
            first = self._single_threaded(outputs, parts[0])
        finally:
            wait(waiting)  # a failure takes the inputs' memory back, which they read
        return [first, *(other.result() for other in waiting)]


def plain_reason(error: Exception) -> str:
    """The first line of what ONNX Runtime says, without what only its authors can use."""
    line = _ORT_PREFIX.sub("", str(error)).partition("\n")[0]
    node = _ORT_NODE.match(line)
    return line if node is None else f"node '{node['name']}' ({node['kind']}): {node['reason']}"


def _parts(inputs: Arrays, rows: int, count: int) -> list[Arrays]:
    """Views, of so many rows each."""
    return [
        {name: array[number * rows : (number + 1) * rows] for name, array in inputs.items()} for number in range(count)
    ]


def _fit(parts: Sequence[Array], rows: int) -> bool:
    return all(part.shape == (rows, *parts[0].shape[1:]) for part in parts)
