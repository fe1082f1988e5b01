"""GET /model/info, and as OpenAI's clients ask: GET /v1/models, GET /v1/models/{model}."""

from typing import Annotated

from fastapi import APIRouter, Depends

from modelcore.contract import Tensor
from orchestrator.dependencies import models_service
from orchestrator.edge.scopes import needs
from orchestrator.models.schemas import ModelInfo, ModelsInfo, OpenAIModel, OpenAIModels, TensorInfo
from orchestrator.models.service import Models, ServedNow
from orchestrator.schemas import openai_error_responses, problem_responses

router = APIRouter(tags=["Models"])


@router.get("/model/info", responses=problem_responses(503))
@needs("read")
async def describe_models(
    service: Annotated[Models, Depends(models_service)],
) -> ModelsInfo:
    """Every served model with its versions and tensors. Dims leave out the batch; -1 is any size."""
    models = [_model(served) for served in await service.served()]
    return ModelsInfo(family=service.family, models=models)


@router.get("/v1/models", responses=openai_error_responses(503), tags=["OpenAI-compatible"])
@needs("read")
async def list_models(service: Annotated[Models, Depends(models_service)]) -> OpenAIModels:
    """The names that `model` may have."""
    return OpenAIModels(data=[OpenAIModel(id=name, created=service.since_s) for name in await service.names()])


@router.get("/v1/models/{model}", responses=openai_error_responses(404, 503), tags=["OpenAI-compatible"])
@needs("read")
async def describe_model(model: str, service: Annotated[Models, Depends(models_service)]) -> OpenAIModel:
    """Whether it is served."""
    return OpenAIModel(id=await service.named(model), created=service.since_s)


def _model(served: ServedNow) -> ModelInfo:
    model = served.model
    return ModelInfo(
        name=model.name,
        about=model.about,
        backend=model.backend,
        versions=list(served.versions),
        max_batch_size=model.max_batch_size,
        inputs=[_tensor(tensor) for tensor in model.inputs],
        outputs=[_tensor(tensor) for tensor in model.outputs],
    )


def _tensor(tensor: Tensor) -> TensorInfo:
    return TensorInfo(
        name=tensor.name,
        data_type=tensor.data_type,
        dims=list(tensor.dims),
        optional=tensor.optional,
        about=tensor.about,
    )
