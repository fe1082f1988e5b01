"""The answers of /model/info and of /v1/models."""

from typing import Literal

from pydantic import BaseModel, Field


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


class OpenAIModel(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Since when this service runs, in seconds since 1970.")
    owned_by: str = "triptych"


class OpenAIModels(BaseModel):
    object: Literal["list"] = "list"
    data: list[OpenAIModel]
