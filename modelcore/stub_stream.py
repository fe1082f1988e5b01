"""What a request is told while it is served: answers that leave after `execute` has returned, and being cancelled.

Is handed `pb_utils`, as stub.py is. Knows events, and not what they are about.
"""

import json
import threading
from typing import Any

import numpy as np

from modelcore import stub
from modelcore.caller import Caller
from modelcore.diffusion.events import Finished, Progress
from modelcore.errors import InvalidInput, TriptychError, to_wire

MAX_TOKEN_BYTES = 256
_PROGRESS = frozenset(("step", "steps", "eta_s", "preview"))


class Cancellations:
    """Requests that can be cancelled by another request, which names their token."""

    def __init__(self) -> None:
        self._watching: dict[bytes, list[threading.Event]] = {}
        self._lock = threading.Lock()

    def watch(self, token: bytes) -> threading.Event:
        """Set when the token is cancelled. To be forgotten when the request is over; others may bear the same token."""
        event = threading.Event()
        with self._lock:
            self._watching.setdefault(token, []).append(event)
        return event

    def cancel(self, token: bytes) -> bool:
        """False for requests that are over, or were never here: nothing is kept of them."""
        with self._lock:
            events = list(self._watching.get(token, ()))
        for event in events:
            event.set()
        return bool(events)

    def forget(self, token: bytes, event: threading.Event) -> None:
        with self._lock:
            left = [other for other in self._watching.pop(token, ()) if other is not event]
            if left:
                self._watching[token] = left


class Client:
    """Who asked, behind Triton's response sender. May be asked from another thread than tells it."""

    def __init__(self, pb_utils: Any, sender: Any) -> None:
        self._pb_utils = pb_utils
        self._sender = sender
        self._is_over = False
        self._lock = threading.Lock()

    def has_left(self) -> bool:
        """Not asked any more once it has had its last answer: that would end Triton 2.51, the whole server."""
        with self._lock:
            return not self._is_over and bool(self._sender.is_cancelled())

    def send(self, response: Any) -> None:
        self._sender.send(response)

    def send_last(self, response: Any = None) -> None:
        with self._lock:
            self._is_over = True
        send_last(self._pb_utils, self._sender, response)


class ResponseStream:
    """A Listener: what the studio tells becomes Triton's responses, one for each event."""

    def __init__(self, pb_utils: Any, request: Any, cancellations: Cancellations, token: bytes = b"") -> None:
        self._is_first = True
        self._wants_steps = not _PROGRESS.isdisjoint(request.requested_output_names())
        self._pb_utils = pb_utils
        self._client = Client(pb_utils, request.get_response_sender())
        self._caller = Caller(request.parameters())
        self._cancellations = cancellations
        self._token = token
        self._withdrawn = cancellations.watch(self._token) if self._token else threading.Event()
        self._error: TriptychError | None = None

    @property
    def wants_progress(self) -> bool:
        """Of the first step always: until it hears of that, a model that calls this one keeps a thread of Triton."""
        return self._wants_steps or self._is_first

    def progress(self, event: Progress) -> None:
        self._is_first = False
        arrays: stub.Arrays = {
            "index": np.array([event.index], np.int32),
            "step": np.array([event.step], np.int32),
            "steps": np.array([event.steps], np.int32),
            "eta_s": np.array([event.eta_s], np.float32),
        }
        if event.preview:
            arrays["preview"] = bytes_array(event.preview)
        self._send(arrays)

    def finished(self, event: Finished) -> None:
        arrays: stub.Arrays = {
            "index": np.array([event.index], np.int32),
            "image": bytes_array(event.image),
            "seed": np.array([event.seed], np.int64),
            "info": bytes_array(json.dumps(event.info).encode()),
        }
        self._send(arrays)

    def failed(self, error: TriptychError) -> None:
        """Kept for the last response: a client that asked for real status codes hears nothing after an error."""
        # Without the frames it came through: they hold the request's arrays, and us. Until the cycle collector came,
        # which counts objects and not bytes, refused requests of 20 MB would pile up.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        self._error = error

    def closed(self) -> None:
        if self._token:
            self._cancellations.forget(self._token, self._withdrawn)
        if not self._caller.is_dead:
            self._send_last()
        self._caller.forget()

    def is_cancelled(self) -> bool:
        if self._withdrawn.is_set():
            return True
        # Of a model that calls this one Triton never tells: that one cancels by its token.
        return self._caller.is_dead if self._caller.is_named else self._client.has_left()

    def _send_last(self) -> None:
        """Triton 2.51 loses an error that comes after other answers to a model's call, and with it the end."""
        if self._error is not None and self._caller.is_named:
            self._client.send(stub.response(self._pb_utils, {"info": bytes_array(to_wire(self._error).encode())}))
            self._client.send_last()
        else:
            self._client.send_last(None if self._error is None else stub.refusal(self._pb_utils, self._error))

    def _send(self, arrays: stub.Arrays) -> None:
        if not self._caller.is_dead:
            self._client.send(stub.response(self._pb_utils, arrays))


def send_last(pb_utils: Any, sender: Any, response: Any = None) -> None:
    """The end of what a request is told, with a response or with nothing. Without it a client waits for ever."""
    responses = () if response is None else (response,)
    sender.send(*responses, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def token_of(arrays: stub.Arrays, name: str) -> bytes:
    """Taken out, so that what remains is about pictures alone; empty where there is none, but never one that is empty.

    Who names nothing to be cancelled would otherwise be painted for, and could not be cancelled himself.
    """
    array = arrays.pop(name, None)
    if array is None:
        return b""
    token = bytes(array.reshape(-1)[0]) if array.size else b""
    if not 1 <= len(token) <= MAX_TOKEN_BYTES:
        raise InvalidInput(f"{name} may have 1 to {MAX_TOKEN_BYTES} bytes: {len(token)}", field=name)
    return token


def bytes_array(*items: bytes) -> np.ndarray[Any, Any]:
    return np.array(items, dtype=object)
