"""A scripted Triton behind a real gRPC socket. It knows our catalog and computes answers that a test can foretell."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import grpc
import numpy as np
from google.protobuf.json_format import Parse
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype

from modelcore.catalog import CATALOG
from modelcore.pbtxt import parse, render
from orchestrator.tensors import Array, Arrays, infer_request

WIDTH = 4
CONTEXT = 8
Script = Callable[[grpc.aio.ServicerContext], Awaitable[None]]


def vector_of(item: bytes) -> Array:
    """The unit vector that the fake gives for a text or a picture."""
    raw = np.frombuffer(hashlib.sha256(item).digest()[:WIDTH], dtype=np.uint8).astype(np.float32) + 1
    return raw / np.linalg.norm(raw)


def refuses(code: grpc.StatusCode, message: str) -> Script:
    async def script(context: grpc.aio.ServicerContext) -> NoReturn:
        await context.abort(code, message)

    return script


async def hangs(_context: grpc.aio.ServicerContext) -> None:
    await asyncio.Event().wait()


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self) -> None:
        self.address = ""
        self.requests: list[tuple[str, Arrays]] = []
        self.metadata: list[dict[str, str]] = []
        self.scripts: dict[str, Script] = {}
        self.configs = {model.name: parse(render(model)) for model in CATALOG}
        self.successes: Counter[str] = Counter()
        self.loads: asyncio.Queue[str] = asyncio.Queue()
        self.probed = asyncio.Event()
        self._walked: set[str] = set()
        self.stream_ended = asyncio.Event()

    async def ModelInfer(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            return await self._infer(request, context)
        finally:
            # Only the watchdog calls these two by themselves; they are the last steps it walks.
            self._walked |= {request.model_name} & {"clip_text", "clip_image"}
            if len(self._walked) == 2:
                self._walked.clear()
                self.probed.set()

    async def _infer(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        arrays = _arrays(request)
        self.requests.append((request.model_name, arrays))
        self.metadata.append(dict(context.invocation_metadata()))
        if request.model_name in self.scripts:
            await self.scripts[request.model_name](context)
        self.successes[request.model_name] += 1
        return _response(request.model_name, _answer(request.model_name, arrays))

    async def ModelStreamInfer(self, requests: Any, context: grpc.aio.ServicerContext) -> Any:
        """Counts up from 0 for ever, unless scripted, and notes when it is stopped."""
        try:
            async for request in requests:
                if request.model_name in self.scripts:
                    await self.scripts[request.model_name](context)
                for number in range(int(_arrays(request)["count"][0])):
                    infer = _response(request.model_name, {"number": np.array([number], np.int32)})
                    yield service_pb2.ModelStreamInferResponse(infer_response=infer)
                final = service_pb2.ModelInferResponse(model_name=request.model_name)
                final.parameters["triton_final_response"].bool_param = True
                yield service_pb2.ModelStreamInferResponse(infer_response=final)
        finally:
            self.stream_ended.set()

    async def ModelReady(self, request: Any, _context: object) -> Any:
        return service_pb2.ModelReadyResponse(ready=request.name in self.configs)

    async def ModelConfig(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        if request.name not in self.configs:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{request.name}' is not found")
        return service_pb2.ModelConfigResponse(config=self.configs[request.name])

    async def ModelStatistics(self, _request: object, context: grpc.aio.ServicerContext) -> Any:
        if "statistics" in self.scripts:
            await self.scripts["statistics"](context)
        response = service_pb2.ModelStatisticsResponse()
        for name in self.configs:
            entry = response.model_stats.add(name=name, version="1")
            entry.inference_stats.success.count = self.successes[name]
        return response

    async def RepositoryIndex(self, _request: object, _context: object) -> Any:
        response = service_pb2.RepositoryIndexResponse()
        for name in self.configs:
            response.models.add(name=name, version="1", state="READY")
        return response

    async def RepositoryModelLoad(self, request: Any, _context: object) -> Any:
        """As the real one: success always, but new processes only where something has changed."""
        config = Parse(request.parameters["config"].string_param or "{}", model_config_pb2.ModelConfig())
        if config != self.configs[request.model_name]:
            self.configs[request.model_name] = config
            self.scripts.pop(request.model_name, None)
            self.loads.put_nowait(request.model_name)
        return service_pb2.RepositoryModelLoadResponse()


@asynccontextmanager
async def running_fake_triton() -> AsyncIterator[FakeTriton]:
    fake = FakeTriton()
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(fake, server)
    fake.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(grace=None)


def _answer(model: str, inputs: Arrays) -> Arrays:
    match model:
        case "clip_tokenize":
            return {"input_ids": np.zeros((_rows(inputs), CONTEXT), np.int64), **_counted(inputs["text"])}
        case "clip_preprocess":
            return {"pixel_values": np.zeros((_rows(inputs), 3, 2, 2), np.float32)}
        case "clip_text_string":
            return {"embedding": _vectors(inputs["text"]), **_counted(inputs["text"])}
        case "clip_image_bytes":
            return {"embedding": _vectors(inputs["image"])}
        case _:
            return {"embedding": np.full((_rows(inputs), WIDTH), 0.5, np.float32)}


def _rows(inputs: Arrays) -> int:
    return len(next(iter(inputs.values())))


def _vectors(column: Array) -> Array:
    return np.stack([vector_of(item) for item in column[:, 0]])


def _counted(column: Array) -> Arrays:
    """One token a word."""
    words = np.array([[len(item.split())] for item in column[:, 0]], np.int32)
    return {"token_count": np.minimum(words, CONTEXT), "truncated": words > CONTEXT}


def _arrays(request: Any) -> Arrays:
    return {
        tensor.name: _array(raw, tensor.datatype).reshape(tuple(tensor.shape))
        for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
    }


def _array(raw: bytes, datatype: str) -> Array:
    if datatype == "BYTES":
        return deserialize_bytes_tensor(raw)
    return np.frombuffer(raw, dtype=triton_to_np_dtype(datatype))


def _response(model: str, outputs: Arrays) -> Any:
    """An answer is written as a request is."""
    written = infer_request(model, outputs)
    response = service_pb2.ModelInferResponse(model_name=model, raw_output_contents=written.raw_input_contents)
    for tensor in written.inputs:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    return response
