"""The only module that speaks gRPC. Arrays and domain errors on this side, Triton's protocol on the other.

It uses grpc.aio with tritonclient's generated messages, not tritonclient's own client: that one turns a status into
a string, hides the call object that cancelling needs, and gives no error for one response of a stream.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import structlog
from google.protobuf.json_format import MessageToJson
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from modelcore.errors import InternalFault, ModelUnavailable, TriptychError, Unavailable
from orchestrator.context import current_request
from orchestrator.tensors import Array, Arrays, infer_request, output_arrays
from orchestrator.turns import Turns
from orchestrator.upstream_status import domain_error

_log = structlog.stdlib.get_logger(__name__)
_MAX_MESSAGE_BYTES = 256 * 1024 * 1024
_SERVER = "triton"
_LAST_WORD_S = 1.0  # for a stream to end that has said all; it takes less than a millisecond


class CallObserver(Protocol):
    """Is told how every inference call went."""

    def answered(self, model: str, seconds: float) -> None: ...

    def failed(self, model: str, error: TriptychError) -> None: ...


@dataclass(frozen=True)
class ModelStatistics:
    """What Triton has counted for one model, over all its versions."""

    successes: int
    slowest_batch_s: float


@dataclass(frozen=True)
class LoadedModel:
    name: str
    version: str
    state: str
    reason: str


def open_channel(address: str, keepalive_s: int) -> grpc.aio.Channel:
    """Must be called in the running event loop, which the channel is bound to."""
    options = [
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", keepalive_s * 1000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # gRPC's own default grows to two minutes: far too long after a restart of Triton.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        # Nothing between us and Triton is a proxy, whatever the environment says.
        ("grpc.enable_http_proxy", 0),
    ]
    return grpc.aio.insecure_channel(address, options=options)


class Triton:
    """One server. Every call has a deadline; no call is repeated here, since a caller knows what may be."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        models: Collection[str],
        observers: Collection[CallObserver] = (),
    ) -> None:
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._models = models
        self._observers = observers
        self._turns = Turns()  # of the answers of streams, which come by the hundred when as many are refused

    async def infer(self, model: str, inputs: Mapping[str, Array], *, deadline_s: float) -> Arrays:
        with _Observed(model, self._observers):
            request = infer_request(model, inputs)
            return output_arrays(await self._ask(self._stub.ModelInfer, request, model, deadline_s))

    @asynccontextmanager
    async def stream(
        self, model: str, inputs: Mapping[str, Array], *, deadline_s: float
    ) -> AsyncIterator[AsyncIterator[Arrays]]:
        """The answers of a decoupled model as they come. Leaving the `async with` cancels the call upstream."""
        request = infer_request(model, inputs)
        request.parameters["triton_enable_empty_final_response"].bool_param = True
        # Never with the header `triton_grpc_error`: an error in such a stream may end Triton 2.51 (docs/painting.md).
        call = self._stub.ModelStreamInfer(iter([request]), timeout=deadline_s, metadata=_metadata())
        try:
            with _Observed(model, self._observers):
                yield self._answers(call, model)
        finally:
            call.cancel()

    async def is_live(self, *, deadline_s: float) -> bool:
        """Whether it answers at all. It does not before it has loaded the models that it starts with."""
        try:
            request = service_pb2.ServerLiveRequest()
            return bool((await self._ask(self._stub.ServerLive, request, _SERVER, deadline_s)).live)
        except Unavailable:
            return False

    async def is_model_ready(self, model: str, *, deadline_s: float) -> bool:
        request = service_pb2.ModelReadyRequest(name=model)
        return bool((await self._ask(self._stub.ModelReady, request, model, deadline_s)).ready)

    async def model_config(self, model: str, *, deadline_s: float) -> model_config_pb2.ModelConfig:
        request = service_pb2.ModelConfigRequest(name=model)
        return (await self._ask(self._stub.ModelConfig, request, model, deadline_s)).config

    async def statistics(self, *, deadline_s: float) -> dict[str, ModelStatistics]:
        """Of every model, in one call."""
        request = service_pb2.ModelStatisticsRequest()
        response = await self._ask(self._stub.ModelStatistics, request, _SERVER, deadline_s)
        versions: dict[str, list[service_pb2.ModelStatistics]] = {}
        for entry in response.model_stats:
            versions.setdefault(entry.name, []).append(entry)
        return {name: _over_all_versions(entries) for name, entries in versions.items()}

    async def index(self, *, deadline_s: float) -> list[LoadedModel]:
        request = service_pb2.RepositoryIndexRequest()
        response = await self._ask(self._stub.RepositoryIndex, request, _SERVER, deadline_s)
        return [LoadedModel(model.name, model.version, model.state, model.reason) for model in response.models]

    async def load_again(self, model: str, *, deadline_s: float) -> None:
        """Replace the processes of a model, dead or alive, and answer when the new ones serve.

        Triton answers a plain load of a model whose files have not changed with success and does nothing, even when
        its stub is dead. A changed configuration is always carried out, so a parameter nobody reads gets a new value.
        """
        request = service_pb2.RepositoryModelLoadRequest(model_name=model)
        with suppress(ModelUnavailable):  # not loaded at all: then a plain load does it
            config = await self.model_config(model, deadline_s=deadline_s)
            config.parameters["loaded_again_at"].string_value = str(time.time_ns())
            text = MessageToJson(config, preserving_proto_field_name=True)
            request.parameters["config"].string_param = text
        await self._ask(self._stub.RepositoryModelLoad, request, model, deadline_s)

    async def _ask(self, method: Callable[..., Awaitable[Any]], request: object, model: str, deadline_s: float) -> Any:
        try:
            return await method(request, timeout=deadline_s, metadata=_metadata())
        except grpc.aio.AioRpcError as error:
            raise self._translated(error.code(), error.details() or "", model) from error

    async def _answers(self, call: Any, model: str) -> AsyncIterator[Arrays]:
        refusal = ""  # as a text: an error that is kept here would keep this frame, and the request with it
        try:
            async for message in call:
                await self._turns.wait()
                refusal, response = message.error_message, message.infer_response
                if response.outputs:
                    yield output_arrays(response)
                if refusal or response.parameters["triton_final_response"].bool_param:
                    await _read_to_the_end(call)
                    break
        except grpc.aio.AioRpcError as error:
            await self._turns.wait()
            raise self._translated(error.code(), error.details() or "", model) from error
        if refusal:
            raise self._translated(grpc.StatusCode.UNKNOWN, refusal, model)

    def _translated(self, code: grpc.StatusCode, message: str, model: str) -> TriptychError:
        error = domain_error(code, message, model, self._models)
        # An unreachable server is the watchdog's to report, once; not every call's.
        unreachable = type(error) is Unavailable and code is grpc.StatusCode.UNAVAILABLE
        level = "debug" if unreachable else "error" if isinstance(error, InternalFault) else "info"
        fields = {"model": model, "code": error.code, "grpc_code": code.name, "grpc_message": message}
        getattr(_log, level)("upstream call failed", **fields)
        return error


class _Observed:
    """Times one call and tells the observers how it went. An abandoned call is neither an answer nor a failure."""

    def __init__(self, model: str, observers: Collection[CallObserver]) -> None:
        self._model = model
        self._observers = observers

    def __enter__(self) -> None:
        self._started_s = time.monotonic()
        self._upstream = current_request.get().upstream
        self._upstream.begins()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._upstream.ends()
        for observer in self._observers:
            if error is None:
                observer.answered(self._model, time.monotonic() - self._started_s)
            elif isinstance(error, TriptychError):
                observer.failed(self._model, error)


async def _read_to_the_end(call: Any) -> None:
    """Of a stream that has said all: Triton 2.51 may keep one that is cancelled then for ever, and all it was sent.

    However it ends, what it has said stands.
    """
    with suppress(TimeoutError, grpc.aio.AioRpcError):
        async with asyncio.timeout(_LAST_WORD_S):
            async for _ in call:
                pass


def _metadata() -> tuple[tuple[str, str], ...]:
    """All that is ever passed on of a client's headers: its trace."""
    traceparent = current_request.get().traceparent
    return (("traceparent", traceparent),) if traceparent else ()


def _over_all_versions(entries: Sequence[service_pb2.ModelStatistics]) -> ModelStatistics:
    batches = [batch for entry in entries for batch in entry.batch_stats]
    return ModelStatistics(
        successes=sum(entry.inference_stats.success.count for entry in entries),
        slowest_batch_s=max((_mean_s(batch.compute_infer) for batch in batches), default=0.0),
    )


def _mean_s(duration: service_pb2.StatisticDuration) -> float:
    return duration.ns / duration.count / 1e9 if duration.count else 0.0
