"""POST /v1/embeddings."""

import base64
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends

from orchestrator.dependencies import embeddings_service
from orchestrator.edge.json_route import StrictJsonRoute
from orchestrator.edge.scopes import needs
from orchestrator.embeddings.inputs import parse_inputs
from orchestrator.embeddings.schemas import (
    EmbeddingItem,
    EmbeddingsAnswer,
    EmbeddingsRequest,
    Usage,
)
from orchestrator.embeddings.service import Embeddings, Vectors
from orchestrator.schemas import openai_error_responses

router = APIRouter(route_class=StrictJsonRoute, tags=["OpenAI-compatible"])


@router.post("/v1/embeddings", responses=openai_error_responses(400, 404, 408, 413, 503))
@needs("read")
async def create_embeddings(
    request: EmbeddingsRequest, service: Annotated[Embeddings, Depends(embeddings_service)]
) -> EmbeddingsAnswer:
    """Texts and pictures as unit vectors in one space: their dot product says how well they fit."""
    inputs = await parse_inputs(request.input)
    embedded = await service.embed(inputs, request.model, request.dimensions)
    write = _as_base64 if request.encoding_format == "base64" else _as_floats
    return EmbeddingsAnswer(
        data=[EmbeddingItem(index=index, embedding=write(vector)) for index, vector in enumerate(embedded.vectors)],
        model=request.model,
        usage=Usage(prompt_tokens=embedded.token_count, total_tokens=embedded.token_count),
        warnings=list(embedded.warnings),
    )


def _as_floats(vector: Vectors) -> list[float]:
    values: list[float] = vector.tolist()
    return values


def _as_base64(vector: Vectors) -> str:
    return base64.b64encode(vector.astype(np.dtype("<f4")).tobytes()).decode("ascii")
