"""`<family>_image`: one answer to one request, for which it asks `<family>` and gathers the pictures.

Is handed `pb_utils`. Its `execute` returns at once and answers follow as they are ready, so that one slow picture holds
up nobody, and pictures of plain clients share their steps with all others.
"""

import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelcore import stub
from modelcore.bls import call_error
from modelcore.errors import TriptychError, Unavailable, from_wire
from modelcore.pipeline_models import CANCEL, CANCEL_TOKEN, IMAGE_SUFFIX
from modelcore.stub_stream import bytes_array, send_last

# Threads that wait for pictures. More requests than this wait for a thread, in the order of their coming.
WAITING_AT_ONCE = 64
# Whoever cancels waits for none of them, and neither does the watchdog, whose probe cancels what is not there.
CANCELLING_AT_ONCE = 2
_OUTPUTS = ("index", "step", "image", "seed", "info")


class ImageStub:
    def __init__(self, pb_utils: Any, arguments: Mapping[str, str]) -> None:
        self._pb_utils = pb_utils
        self._names = stub.input_names(arguments)
        self._pipeline = arguments["model_name"].removesuffix(IMAGE_SUFFIX)
        self._is_closing = False
        self._waiters = ThreadPoolExecutor(WAITING_AT_ONCE, thread_name_prefix="waiter")
        self._cancellers = ThreadPoolExecutor(CANCELLING_AT_ONCE, thread_name_prefix="canceller")

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            inputs = stub.arrays_of(self._pb_utils, request, self._names)
            pool = self._cancellers if CANCEL in inputs else self._waiters
            pool.submit(self._answer, inputs, request.get_response_sender())

    def close(self) -> None:
        """Who has not begun to wait is refused; who waits is answered by the pipeline, which closes too."""
        self._is_closing = True
        for pool in (self._waiters, self._cancellers):
            pool.shutdown()

    def _answer(self, inputs: stub.Arrays, sender: Any) -> None:
        try:
            if self._is_closing:
                raise Unavailable("the server is stopping; ask again once it is back")
            response = stub.response(self._pb_utils, self._answer_of(inputs, sender))
        except TriptychError as error:
            response = stub.refusal(self._pb_utils, error)
        except Exception:
            # The edge of the thread: Triton would wait for this answer for ever.
            response = stub.refusal(self._pb_utils, stub.logged_fault())
        send_last(self._pb_utils, sender, response)

    def _answer_of(self, inputs: stub.Arrays, sender: Any) -> stub.Arrays:
        if CANCEL in inputs:
            self._cancel(inputs[CANCEL])
            return {}
        pictures = self._pictures(inputs, sender)
        if not pictures:
            raise Unavailable("the request was cancelled")
        return {name: np.concatenate([picture[name] for picture in pictures]) for name in ("image", "seed", "info")}

    def _pictures(self, inputs: stub.Arrays, sender: Any) -> list[stub.Arrays]:
        """Every event is an occasion to see whether the client is still there."""
        token = inputs.setdefault(CANCEL_TOKEN, bytes_array(secrets.token_hex(16).encode()))
        finished: dict[int, stub.Arrays] = {}
        is_cancelled = False
        for event in self._events(inputs):
            if not is_cancelled and sender.is_cancelled():
                is_cancelled = True
                self._cancel(token)
            if "image" in event:
                finished[int(event["index"][0])] = event
        return [] if is_cancelled else [finished[index] for index in sorted(finished)]

    def _events(self, inputs: stub.Arrays) -> Iterator[stub.Arrays]:
        request = self._pb_utils.InferenceRequest(
            model_name=self._pipeline,
            inputs=[self._pb_utils.Tensor(name, array) for name, array in inputs.items()],
            requested_output_names=list(_OUTPUTS),
        )
        for response in request.exec(decoupled=True):
            if response.has_error():
                message = response.error().message()
                raise from_wire(message) or call_error(self._pipeline, message)
            if response.output_tensors():
                yield {tensor.name(): np.array(tensor.as_numpy()) for tensor in response.output_tensors()}

    def _cancel(self, token: NDArray[Any]) -> None:
        """Returns when the pipeline has heard of it."""
        for _ in self._events({"prompt": bytes_array(b"-"), CANCEL: token}):
            pass
