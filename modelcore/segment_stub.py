"""`segment` between Triton and modelcore.vision: requests answered in threads, networks called from model to model.

Is handed `pb_utils`, as stub.py is. Clicks have threads of their own: whoever points at a thing must not wait until
somebody's automatic masks are done. In the networks' queues the two meet call by call.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from modelcore import stub
from modelcore.bls import model_call
from modelcore.diffusion.places import Places
from modelcore.errors import TriptychError, Unavailable
from modelcore.sam2_models import SAM2_MODELS
from modelcore.segment_metrics import CacheMetrics
from modelcore.stub_stream import Client
from modelcore.vision.embedding_cache import EmbeddingCache
from modelcore.vision.sam2_input import Sam2Facts
from modelcore.vision.segment_answer import answer, tolerance_of
from modelcore.vision.segmenter import Sam2Networks, SeenPicture, Segmenter, is_automatic

CLICKS_AT_ONCE = 8
AUTOMATIC_AT_ONCE = 2
# In work and waiting. A click takes milliseconds and automatic masks take seconds: either queue is some seconds long.
CLICKS_LIMIT = 256
AUTOMATIC_LIMIT = 32


class SegmentStub:
    def __init__(self, pb_utils: Any, arguments: Mapping[str, str]) -> None:
        self._pb_utils = pb_utils
        self._names = stub.input_names(arguments)
        self._cache: EmbeddingCache[SeenPicture] = EmbeddingCache(_cache_bytes(arguments))
        self._metrics = CacheMetrics(pb_utils)
        self._is_closing = False
        self._clicks_places = Places(CLICKS_LIMIT, "requests with prompts")
        self._automatic_places = Places(AUTOMATIC_LIMIT, "requests for automatic masks")
        self._clicks = ThreadPoolExecutor(CLICKS_AT_ONCE, thread_name_prefix="clicks")
        self._automatic = ThreadPoolExecutor(AUTOMATIC_AT_ONCE, thread_name_prefix="automatic")
        self._ahead = ThreadPoolExecutor(AUTOMATIC_AT_ONCE, thread_name_prefix="ahead")
        calls = {model.name: model_call(pb_utils, model) for model in SAM2_MODELS}
        networks = Sam2Networks(calls["sam2_encoder"], calls["sam2_prepare"], calls["sam2_decoder"])
        facts = Sam2Facts.load(stub.version_folder(arguments))
        self._segmenter = Segmenter(networks, facts, self._cache, self._ahead)

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            inputs = stub.arrays_of(self._pb_utils, request, self._names)
            client = Client(self._pb_utils, request.get_response_sender())
            if is_automatic(inputs):
                self._admit(self._automatic, self._automatic_places, inputs, client)
            else:
                self._admit(self._clicks, self._clicks_places, inputs, client)

    def close(self) -> None:
        """Who has not begun is refused; what has begun is finished, or fails with the networks it asks."""
        self._is_closing = True
        for pool in (self._clicks, self._automatic, self._ahead):
            pool.shutdown()

    def _admit(self, pool: ThreadPoolExecutor, places: Places, inputs: stub.Arrays, client: Client) -> None:
        try:
            places.take(1)
        except Unavailable as error:
            client.send_last(stub.refusal(self._pb_utils, error))
            return
        pool.submit(self._respond, places, inputs, client)

    def _respond(self, places: Places, inputs: stub.Arrays, client: Client) -> None:
        try:
            client.send_last(self._response(inputs, client))
        finally:
            places.give_back(1)

    def _response(self, inputs: stub.Arrays, client: Client) -> Any:
        def go_on() -> None:
            if client.has_left():
                raise Unavailable("the request was cancelled")

        try:
            if self._is_closing:
                raise Unavailable("the server is stopping; ask again once it is back")
            go_on()
            tolerance_px = tolerance_of(inputs)
            return stub.response(self._pb_utils, answer(self._segmenter.segment(inputs, go_on), tolerance_px))
        except TriptychError as error:
            return stub.refusal(self._pb_utils, error)
        except Exception:
            # The edge of the process: a thread that ended here would leave its client waiting for ever.
            return stub.refusal(self._pb_utils, stub.logged_fault())
        finally:
            self._metrics.tell(self._cache.counts())


def _cache_bytes(arguments: Mapping[str, str]) -> int:
    return int(json.loads(arguments["model_config"])["parameters"]["embedding_cache_bytes"]["string_value"])
