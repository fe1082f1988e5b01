"""OpenAI's shape of an embeddings request and its answer, with pictures added."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from orchestrator.embeddings.inputs import INPUT_SCHEMA


class EmbeddingsRequest(BaseModel):
    """Fields that we do not know are ignored, as OpenAI's clients expect."""

    model_config = ConfigDict(strict=True, extra="ignore")

    input: Annotated[Any, WithJsonSchema(INPUT_SCHEMA)]  # read by inputs.py
    model: str = Field(default="clip", description="`clip`, or the name of the family that is served.")
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="base64 is the vector as little-endian float32."
    )
    dimensions: int | None = Field(
        None, ge=1, le=65_536, description="Only the width that the model has; vectors are never cut."
    )
    user: str | None = Field(None, description="Ignored.")


class EmbeddingItem(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    object: Literal["list"] = "list"
    data: list[EmbeddingItem]
    model: str
    usage: Usage
    warnings: list[str] = Field(description="Texts that were longer than the model reads, and were cut.")
