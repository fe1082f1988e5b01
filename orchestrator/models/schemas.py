"""The answer of /model/info."""

from pydantic import BaseModel


class TensorInfo(BaseModel):
    name: str
    data_type: str
    dims: list[int]
    optional: bool
    about: str


class ModelInfo(BaseModel):
    name: str
    about: str
    backend: str
    versions: list[str]
    max_batch_size: int
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]


class ModelsInfo(BaseModel):
    family: str
    models: list[ModelInfo]
