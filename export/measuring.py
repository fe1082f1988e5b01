"""What another precision costs and gives, measured on real activations. Decides nothing."""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from export.int8 import Product, local_error
from export.parity import open_session

Feed = Mapping[str, NDArray[Any]]  # an array by input

_TIMED_ROUNDS = 5


def cosine(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Of the angle between two answers, each taken as one long vector."""
    left, right = got.ravel().astype(np.float64), wanted.ravel().astype(np.float64)
    return float(left @ right / max(np.linalg.norm(left) * np.linalg.norm(right), np.finfo(np.float64).tiny))


def speed_ratio(before: onnxruntime.InferenceSession, after: onnxruntime.InferenceSession, feed: Feed) -> float:
    """In turn, so that a busy moment hits both; in CPU time, so that a neighbour's work counts little."""
    times_s: dict[onnxruntime.InferenceSession, list[float]] = {before: [], after: []}
    for _ in range(_TIMED_ROUNDS):
        for session, taken_s in times_s.items():
            started_s = time.process_time()
            session.run(None, feed)
            taken_s.append(time.process_time() - started_s)
    return statistics.median(times_s[before]) / statistics.median(times_s[after])


def product_errors(path: Path, model: onnx.ModelProto, found: list[Product], feed: Feed) -> dict[str, float]:
    """By node: what rounding costs each product on its own, on the activations that it really gets."""
    weights = {weight.name: weight for weight in model.graph.initializer}
    lefts = sorted({product.left for product in found} - set(feed))
    activations = {**feed, **dict(zip(lefts, _look_inside(path, lefts, feed), strict=True))}
    return {
        product.node: local_error(activations[product.left], onnx.numpy_helper.to_array(weights[product.weight]))
        for product in found
    }


def _look_inside(path: Path, names: list[str], feed: Feed) -> list[NDArray[np.float32]]:
    """Run the graph with inner tensors as outputs. The copy lies beside it, where its external data is found."""
    model = onnx.load(path, load_external_data=False)
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    copy = path.with_name(f".{path.name}.look")
    try:
        onnx.save(model, copy)
        answers: list[NDArray[np.float32]] = open_session(copy).run(names, feed) if names else []
    finally:
        copy.unlink(missing_ok=True)
    return answers
