"""Is the exported graph the network it came from? Runs both and measures."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from modelcore.errors import SetupProblem

if TYPE_CHECKING:
    from export.network import Case, Network

MAX_RELATIVE_ERROR = 1e-4

Answers = Sequence[NDArray[np.float32]]  # one array per output


def open_session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def relative_error(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """The largest difference over the largest magnitude; infinite when anything is not finite."""
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return float("inf")
    difference, magnitude = float(np.abs(got - wanted).max()), float(np.abs(wanted).max())
    if difference == 0 or magnitude == 0:
        return 0.0 if difference == 0 else float("inf")
    return difference / magnitude


def check_parity(name: str, path: Path, network: "Network") -> dict[str, float]:
    """The largest relative error of each case, by its name; beyond the bound the export has failed."""
    session = open_session(path)
    errors: dict[str, float] = {}
    for case, tensors, run_source in _comparisons(network):
        given = {item.name: tensor.numpy() for item, tensor in zip(network.inputs, tensors, strict=True)}
        got = session.run([item.name for item in network.outputs], given)
        wanted = run_source(network.module, tensors)
        errors[case] = max(relative_error(*pair) for pair in zip(got, wanted, strict=True))
        if not errors[case] <= MAX_RELATIVE_ERROR:
            raise SetupProblem(
                f"{name}: the exported graph differs from its source by {errors[case]:.1e} on {case}; "
                f"at most {MAX_RELATIVE_ERROR:.0e} is accepted"
            )
    return errors


def _comparisons(network: "Network") -> Iterator[tuple[str, "Case", Callable[[torch.nn.Module, "Case"], Answers]]]:
    for case, tensors in network.cases.items():
        yield case, tensors, _run_source
    for case, tensors in network.cases_by_row.items():
        yield case, tensors, _run_source_by_row


def _run_source(module: torch.nn.Module, tensors: "Case") -> Answers:
    with torch.inference_mode():
        answer = module(*tensors)
    return [tensor.numpy() for tensor in (answer if isinstance(answer, tuple) else (answer,))]


def _run_source_by_row(module: torch.nn.Module, tensors: "Case") -> Answers:
    rows = zip(*(torch.split(tensor, 1) for tensor in tensors), strict=True)
    answers = [_run_source(module, row) for row in rows]
    return [np.concatenate(outputs) for outputs in zip(*answers, strict=True)]
