"""What is to be painted, as the tensors that a family's pipeline takes. Its limits are the family's to check."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelcore.contract import DataType
from modelcore.pipeline_models import pipeline_models
from orchestrator.gallery.pictures import Parent
from orchestrator.tensors import Array, Arrays

_NUMPY: dict[DataType, Any] = {
    DataType.BOOL: np.bool_,
    DataType.FP32: np.float32,
    DataType.INT32: np.int32,
    DataType.INT64: np.int64,
}
# The tensors' names are alike for every family.
_TYPES = {tensor.name: tensor.data_type for tensor in pipeline_models("any")[0].inputs}


@dataclass(frozen=True)
class Order:
    """`wishes` are named as the pipeline's inputs; whatever is left out is the family's default."""

    wishes: Mapping[str, Any]
    labels: str | list[str] | None = None
    analyze: bool = True
    segment: bool = True
    parent: Parent | None = None  # in the gallery

    @property
    def prompt(self) -> str:
        return str(self.wishes["prompt"])

    @property
    def negative_prompt(self) -> str:
        return str(self.wishes.get("negative_prompt", ""))

    def inputs(self) -> Arrays:
        return {name: _tensor(name, value) for name, value in self.wishes.items()}


def _tensor(name: str, value: Any) -> Array:
    kind = _TYPES[name]
    if kind is not DataType.BYTES:
        return np.array(value, dtype=_NUMPY[kind]).reshape(-1)
    encoded = value.encode() if isinstance(value, str) else value
    return np.array([encoded], dtype=np.object_)
