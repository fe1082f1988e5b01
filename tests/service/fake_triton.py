"""A scripted Triton behind a real gRPC socket. It knows our catalog and computes answers that a test can foretell."""

import asyncio
import hashlib
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import grpc
import numpy as np
from google.protobuf.json_format import Parse
from PIL import Image
from pycocotools import mask as coco
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype

from modelcore.catalog import CATALOG, served_model
from modelcore.errors import TriptychError, to_wire
from modelcore.family import read_diffusion
from modelcore.images import encode_png
from modelcore.pbtxt import parse, render
from modelcore.vision.masks import Region, Rle, to_json
from orchestrator.tensors import Array, Arrays, infer_request
from orchestrator.watchdog.probes import KNOWN_PICTURE

WIDTH = 4
CONTEXT = 8
LOGIT_SCALE = 10.0
LIMITS = read_diffusion(Path(__file__).parents[2] / "families" / "demo" / "family.toml").limits
WEIGHTS = b"fake-clip"
SEED = 5  # of a painting that asks for none
Script = Callable[[grpc.aio.ServicerContext], Awaitable[None]]


def vector_of(item: bytes) -> Array:
    """The unit vector that the fake gives for a text or a picture."""
    raw = np.frombuffer(hashlib.sha256(item).digest()[:WIDTH], dtype=np.uint8).astype(np.float32) + 1
    return raw / np.linalg.norm(raw)


def halves_of(encoded: bytes) -> list[Region]:
    """The two regions that the fake finds in a picture: what is left of the middle, and what is right of it."""
    width, height = Image.open(io.BytesIO(encoded)).size
    middle = width // 2
    if not middle:
        return [_strip(np.full(1, True), height, (0, 0, 1, height))]
    columns = np.arange(width) < middle
    return [
        _strip(columns, height, (0, 0, middle, height)),
        _strip(~columns, height, (middle, 0, width - middle, height)),
    ]


def _strip(columns: Array, height: int, box: tuple[int, int, int, int]) -> Region:
    encoded = coco.encode(np.asfortranarray(np.tile(columns, (height, 1)).astype(np.uint8)))
    left, top, width, height = box
    ring = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
    mask = Rle(size=[int(side) for side in encoded["size"]], counts=encoded["counts"].decode())
    corners = [(float(x), float(y)) for x, y in ring]
    return Region(mask, [[corners]], box, width * height, 0.9, 0.95, (left + 0.5, top + 0.5))


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
        self.streamed = asyncio.Event()
        self.stalls = False  # after the first event of a stream
        self.breaks = False  # likewise
        self.said_all = asyncio.Event()
        self.may_end = asyncio.Event()  # a stream that has said all stays open until then
        self.may_end.set()
        self.stream_ended = asyncio.Event()
        self.cancelled_streams = 0

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
        if not _is_probe(arrays):
            self.requests.append((request.model_name, arrays))
            self.metadata.append(dict(context.invocation_metadata()))
        if request.model_name in self.scripts:
            await self.scripts[request.model_name](context)
        self.successes[request.model_name] += 1
        return _response(request.model_name, _answer(request.model_name, arrays))

    async def ModelStreamInfer(self, requests: Any, context: grpc.aio.ServicerContext) -> Any:
        """What `_events` says, unless scripted; notes what was asked, and when it is stopped."""
        self.metadata.append(dict(context.invocation_metadata()))
        try:
            async for request in requests:
                arrays = _arrays(request)
                self.requests.append((request.model_name, arrays))
                if request.model_name in self.scripts:
                    await self.scripts[request.model_name](context)
                try:
                    events = _events(request.model_name, arrays)
                except TriptychError as error:
                    # As the real one, unless a header asks for a status: a text, after which more may be asked.
                    yield service_pb2.ModelStreamInferResponse(error_message=to_wire(error))
                    continue
                for event in events:
                    infer = _response(request.model_name, event)
                    yield service_pb2.ModelStreamInferResponse(infer_response=infer)
                    self.streamed.set()
                    if self.breaks:
                        await context.abort(grpc.StatusCode.UNAVAILABLE, "the network has died")
                    if self.stalls:
                        await asyncio.Event().wait()
                final = service_pb2.ModelInferResponse(model_name=request.model_name)
                final.parameters["triton_final_response"].bool_param = True
                yield service_pb2.ModelStreamInferResponse(infer_response=final)
            self.said_all.set()
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled_streams += 1
            raise
        finally:
            self.stream_ended.set()

    async def ServerLive(self, _request: object, _context: object) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

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
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])  # as Triton takes it
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(fake, server)
    fake.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(grace=None)


def painted(seed: int, width: int, height: int) -> bytes:
    """The picture that the fake paints: one colour, which the seed decides."""
    return encode_png(Image.new("RGB", (width, height), (seed % 256, 90, 160)))


def _events(model: str, inputs: Arrays) -> Iterator[Arrays]:
    """`counter` counts up from 0; everything else paints, if what is wished for is within the demo family's limits."""
    if model == "counter":
        return ({"number": np.array([number], np.int32)} for number in range(int(inputs["count"][0])))
    for limit in (LIMITS.width, LIMITS.height, LIMITS.steps, LIMITS.pictures):
        if limit.name in inputs:
            limit.check(int(inputs[limit.name][0]))
    return _painting(inputs)


def _painting(inputs: Arrays) -> Iterator[Arrays]:
    def wish(name: str, default: int) -> int:
        return int(inputs[name][0]) if name in inputs else default

    steps, every, seed = wish("steps", 3), wish("preview_every", 0), wish("seed", SEED)
    width, height = wish("width", 64), wish("height", 64)
    for index in range(wish("num_images", 1)):
        for step in range(1, steps + 1):
            event = {"index": [index], "step": [step], "steps": [steps]}
            told = {name: np.array(value, np.int32) for name, value in event.items()}
            preview = {"preview": _bytes(painted(step, 8, 8))} if every and step % every == 0 else {}
            yield {**told, "eta_s": np.array([steps - step], np.float32), **preview}
        parameters = _told(inputs) | {"steps": steps, "width": width, "height": height, "seed": seed + index}
        info = {"model": "demo", "parameters": parameters, "warnings": ["words were cut"]}
        yield {
            "index": np.array([index], np.int32),
            "image": _bytes(painted(seed + index, width, height)),
            "seed": np.array([seed + index], np.int64),
            "info": _bytes(json.dumps(info).encode()),
        }


def _told(inputs: Arrays) -> dict[str, Any]:
    """Of a request, what the real pipeline repeats: no picture."""
    told = {name: inputs[name].item() for name in ("prompt", "negative_prompt") if name in inputs}
    apart = {"strength", "variation_seed"} & set(inputs)
    return {name: text.decode() for name, text in told.items()} | {name: inputs[name].item() for name in apart}


def _bytes(data: bytes) -> Array:
    return np.array([data], dtype=np.object_)


def _answer(model: str, inputs: Arrays) -> Arrays:
    match model:
        case "clip_tokenize":
            ids = np.zeros((_rows(inputs), CONTEXT), np.int64)
            return {"input_ids": ids, **_counted(inputs["text"]), "weights": _weights(inputs)}
        case "clip_preprocess":
            return {"pixel_values": np.zeros((_rows(inputs), 3, 2, 2), np.float32), "weights": _weights(inputs)}
        case "clip_text_string":
            scale = np.full((_rows(inputs), 1), LOGIT_SCALE, np.float32)
            told = {"logit_scale": scale, **_counted(inputs["text"]), "weights": _weights(inputs)}
            return {"embedding": _vectors(inputs["text"]), **told}
        case "clip_image_bytes":
            return {"embedding": _vectors(inputs["image"]), "weights": _weights(inputs)}
        case "segment":
            regions = json.dumps([to_json(region) for region in halves_of(inputs["image"].item())])
            return {"regions": np.array([regions.encode()], dtype=np.object_)}
        case "clip_text":
            scale = np.full((_rows(inputs), 1), LOGIT_SCALE, np.float32)
            return {"embedding": np.full((_rows(inputs), WIDTH), 0.5, np.float32), "logit_scale": scale}
        case _ if model.startswith("demo"):  # only the watchdog's probes come here, and look at no number
            return {tensor.name: np.zeros(1, np.float32) for tensor in served_model(model).outputs}
        case _:
            return {"embedding": np.full((_rows(inputs), WIDTH), 0.5, np.float32)}


def _rows(inputs: Arrays) -> int:
    return len(next(iter(inputs.values())))


def _vectors(column: Array) -> Array:
    return np.stack([vector_of(item) for item in column[:, 0]])


def _weights(inputs: Arrays) -> Array:
    return np.full((_rows(inputs), 1), WEIGHTS, np.object_)


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


def _is_probe(arrays: Arrays) -> bool:
    """The watchdog's click on its own picture comes at any time, and is nobody's request."""
    return "image" in arrays and arrays["image"].reshape(-1)[0] == KNOWN_PICTURE
