"""The shapes of things: tensors, served models, limits. Knows no particular model and no server."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from modelcore.errors import InvalidInput

# The kinds of pipeline a family may have. A name here, so that the catalog needs to read no family.
Architecture = Literal["sd", "sdxl", "sd3"]


class DataType(StrEnum):
    """Triton's names for element types, as gRPC and HTTP spell them."""

    BOOL = "BOOL"
    BYTES = "BYTES"
    FP16 = "FP16"
    FP32 = "FP32"
    INT32 = "INT32"
    INT64 = "INT64"


@dataclass(frozen=True)
class Tensor:
    """One input or output. `dims` leave out the batch dimension; -1 is any size."""

    name: str
    data_type: DataType
    dims: tuple[int, ...]
    about: str
    optional: bool = False


@dataclass(frozen=True)
class DynamicBatching:
    """How Triton gathers requests into one call. No delay by default: under load the queue fills by itself.

    There is no queue limit on purpose: with a default_queue_policy, Triton 2.51 leaves requests in the queue for half a
    second at a time (docs/log.md, 2026-11-21). The REST service bounds how many can wait.
    """

    preferred_sizes: tuple[int, ...] = ()
    max_queue_delay_us: int = 0


@dataclass(frozen=True)
class InstanceGroup:
    kind: Literal["KIND_AUTO", "KIND_CPU", "KIND_GPU"] = "KIND_AUTO"
    count: int = 1


@dataclass(frozen=True)
class EnsembleStep:
    """One call inside an ensemble. Maps go from the step's own tensor name to the name in the ensemble."""

    model: str
    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True)
class Warmup:
    """One call of zeros that Triton makes before it calls a model ready. `dims` leave out the batch dimension."""

    name: str
    batch_size: int
    dims: dict[str, tuple[int, ...]]  # by input


@dataclass(frozen=True)
class GpuProfile:
    """What differs on a GPU host; rendered as `configs/gpu.pbtxt` beside the default."""

    instances: InstanceGroup
    accelerators: tuple[str, ...] = ()
    accelerator_parameters: dict[str, str] = field(default_factory=dict)
    why: str = ""
    backend: Literal["", "tensorrt"] = ""  # none: the model's own
    parameters: dict[str, str] = field(default_factory=dict)  # beside the model's own
    file: str = ""  # in the version's folder; none: the backend's usual name
    warmups: tuple[Warmup, ...] = ()


@dataclass(frozen=True)
class ServedModel:
    """One folder of the model repository, declared once."""

    name: str
    backend: Literal["python", "onnxruntime", "ensemble"]
    about: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch_size: int
    decoupled: bool = False  # answers as often as it likes, over gRPC streams only
    batching: DynamicBatching | None = None
    instances: InstanceGroup | None = None
    response_cache: bool = False
    parameters: dict[str, str] = field(default_factory=dict)
    steps: tuple[EnsembleStep, ...] = ()
    gpu: GpuProfile | None = None
    why: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Limit:
    """The one number behind a REST bound and a tensor bound."""

    name: str
    minimum: int
    maximum: int

    def check(self, value: int, *, field: str | None = None) -> int:
        if not self.minimum <= value <= self.maximum:
            name = field or self.name
            raise InvalidInput(f"{name} must be between {self.minimum} and {self.maximum}: {value}", field=name)
        return value
