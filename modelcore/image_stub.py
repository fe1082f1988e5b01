"""`<family>_image`: one answer to one request, for which it asks `<family>` and gathers the pictures.

Is handed `pb_utils`. Its `execute` returns at once and answers follow as they are ready, so that one slow picture holds
up nobody, and pictures of plain clients share their steps with all others.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelcore import caller, stub
from modelcore.bls import call_error
from modelcore.diffusion.lookout import Lookout
from modelcore.diffusion.places import Places
from modelcore.errors import TriptychError, Unavailable, from_wire
from modelcore.pipeline_models import CANCEL, CANCEL_TOKEN, IMAGE_SUFFIX
from modelcore.stub_stream import Client, bytes_array

# Requests that may wait for their pictures, each with a thread. The pipeline takes no more pictures than this.
WAITING_AT_ONCE = 64
# Whoever cancels waits for none of them, and neither does the watchdog, whose probe cancels what is not there.
CANCELLING_AT_ONCE = 2
# No steps: nobody here would tell of them.
_OUTPUTS = ("index", "image", "seed", "info")


class ImageStub:
    def __init__(self, pb_utils: Any, arguments: Mapping[str, str]) -> None:
        self._pb_utils = pb_utils
        self._names = stub.input_names(arguments)
        self._pipeline = arguments["model_name"].removesuffix(IMAGE_SUFFIX)
        self._is_closing = False
        self._places = Places(WAITING_AT_ONCE, "requests")
        self._lookout = Lookout("waiting")
        self._waiters = ThreadPoolExecutor(WAITING_AT_ONCE, thread_name_prefix="waiter")
        self._cancellers = ThreadPoolExecutor(CANCELLING_AT_ONCE, thread_name_prefix="canceller")

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            inputs = stub.arrays_of(self._pb_utils, request, self._names)
            client = Client(self._pb_utils, request.get_response_sender())
            if CANCEL in inputs:
                self._cancellers.submit(self._answer, inputs, client)
            else:
                self._admit(inputs, client)

    def close(self) -> None:
        """Who has not begun to wait is refused; who waits is answered by the pipeline, which closes too."""
        self._is_closing = True
        for pool in (self._waiters, self._cancellers):
            pool.shutdown()
        self._lookout.close()

    def _admit(self, inputs: stub.Arrays, client: Client) -> None:
        try:
            self._places.take(1)
        except Unavailable as error:
            client.send_last(stub.refusal(self._pb_utils, error))
            return
        self._waiters.submit(self._wait, inputs, client)

    def _wait(self, inputs: stub.Arrays, client: Client) -> None:
        try:
            self._answer(inputs, client)
        finally:
            self._places.give_back(1)

    def _answer(self, inputs: stub.Arrays, client: Client) -> None:
        try:
            if self._is_closing:
                raise Unavailable("the server is stopping; ask again once it is back")
            response = stub.response(self._pb_utils, self._answer_of(inputs, client))
        except TriptychError as error:
            response = stub.refusal(self._pb_utils, error)
        except Exception:
            # The edge of the thread: Triton would wait for this answer for ever.
            response = stub.refusal(self._pb_utils, stub.logged_fault())
        client.send_last(response)

    def _answer_of(self, inputs: stub.Arrays, client: Client) -> stub.Arrays:
        if CANCEL in inputs:
            self._cancel(inputs[CANCEL])
            return {}
        pictures = self._pictures(inputs, client)
        if not pictures:
            raise Unavailable("the request was cancelled")
        return {name: np.concatenate([picture[name] for picture in pictures]) for name in ("image", "seed", "info")}

    def _pictures(self, inputs: stub.Arrays, client: Client) -> list[stub.Arrays]:
        token = inputs.setdefault(CANCEL_TOKEN, bytes_array(secrets.token_hex(16).encode()))
        leaving = _Leaving(client, lambda: self._cancellers.submit(self._cancel, token))
        finished: dict[int, stub.Arrays] = {}
        self._lookout.watch(leaving.look)
        try:
            for event in self._events(inputs):
                if "image" in event:
                    finished[int(event["index"][0])] = event
        finally:
            self._lookout.forget(leaving.look)
        return [] if leaving.is_noticed else [finished[index] for index in sorted(finished)]

    def _events(self, inputs: stub.Arrays) -> Iterator[stub.Arrays]:
        request = self._pb_utils.InferenceRequest(
            model_name=self._pipeline,
            inputs=[self._pb_utils.Tensor(name, array) for name, array in inputs.items()],
            requested_output_names=list(_OUTPUTS),
            parameters=dict(caller.named()),
        )
        for response in request.exec(decoupled=True):
            if response.has_error():
                message = response.error().message()
                raise from_wire(message) or call_error(self._pipeline, message)
            if response.output_tensors():
                event = {tensor.name(): np.array(tensor.as_numpy()) for tensor in response.output_tensors()}
                self._raise_what_it_tells(event)
                yield event

    def _raise_what_it_tells(self, event: stub.Arrays) -> None:
        """An error of the pipeline comes as an `info` without a picture: modelcore/stub_stream.py says why."""
        if "info" in event and "image" not in event:
            message = event["info"].item().decode()
            raise from_wire(message) or call_error(self._pipeline, message)

    def _cancel(self, token: NDArray[Any]) -> None:
        """Returns when the pipeline has heard of it."""
        for _ in self._events({"prompt": bytes_array(b"-"), CANCEL: token}):
            pass


class _Leaving:
    """Of a client that waits for an answer: what is asked for him is then cancelled."""

    def __init__(self, client: Client, cancel: Callable[[], Future[None]]) -> None:
        self.is_noticed = False
        self._client = client
        self._cancel = cancel
        self._cancelling: Future[None] | None = None

    def look(self) -> None:
        """Cancels as long as it is called, one time after the other: the first may have come before the request."""
        self.is_noticed = self.is_noticed or self._client.has_left()
        if self.is_noticed and (self._cancelling is None or self._cancelling.done()):
            self._cancelling = self._cancel()
