"""Is the exported graph the network it came from? Runs both and measures."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from modelcore.errors import SetupProblem

MAX_RELATIVE_ERROR = 1e-4


def open_session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def relative_error(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """The largest difference over the largest magnitude; infinite when anything is not finite."""
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return float("inf")
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def check_parity(
    name: str,
    path: Path,
    source: Callable[..., torch.Tensor],
    cases: Mapping[str, Mapping[str, torch.Tensor]],
) -> dict[str, float]:
    """The relative error of each case, by its name; beyond the bound the export has failed."""
    session = open_session(path)
    errors: dict[str, float] = {}
    for case, tensors in cases.items():
        (got,) = session.run(None, {key: tensor.numpy() for key, tensor in tensors.items()})
        with torch.inference_mode():
            wanted = source(*tensors.values()).numpy()
        errors[case] = relative_error(got, wanted)
        if not errors[case] <= MAX_RELATIVE_ERROR:
            raise SetupProblem(
                f"{name}: the exported graph differs from its source by {errors[case]:.1e} on {case}; "
                f"at most {MAX_RELATIVE_ERROR:.0e} is accepted"
            )
    return errors
