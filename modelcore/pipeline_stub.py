"""`<family>`: Triton's requests to the studio, and what the studio tells to Triton's streams.

Is handed `pb_utils`. What paints is in pipeline_studio.py.
"""

from collections.abc import Mapping
from typing import Any

from modelcore import stub
from modelcore.errors import InvalidInput, ModelUnavailable
from modelcore.pipeline_models import CANCEL, CANCEL_TOKEN
from modelcore.pipeline_studio import open_studio
from modelcore.stub_stream import Cancellations, ResponseStream, send_last, token_of


class PipelineStub:
    def __init__(self, pb_utils: Any, arguments: Mapping[str, str]) -> None:
        self._pb_utils = pb_utils
        self._names = stub.input_names(arguments)
        self._cancellations = Cancellations()
        self._lost: ModelUnavailable | None = None
        self._studio = open_studio(pb_utils, arguments["model_name"], stub.version_folder(arguments), self._note_lost)

    def execute(self, requests: list[Any]) -> None:
        """Returns at once: every request is answered from the studio's own threads, as often as it has news."""
        for request in requests:
            self._begin(stub.arrays_of(self._pb_utils, request, self._names), request)

    def close(self) -> None:
        self._studio.close()

    def _begin(self, arrays: stub.Arrays, request: Any) -> None:
        try:
            token, cancelled = token_of(arrays, CANCEL_TOKEN), token_of(arrays, CANCEL)
        except InvalidInput as error:
            send_last(self._pb_utils, request.get_response_sender(), stub.refusal(self._pb_utils, error))
            return
        if cancelled:
            self._cancel(cancelled, request.get_response_sender())
        else:
            self._studio.paint(arrays, ResponseStream(self._pb_utils, request, self._cancellations, token))

    def _cancel(self, token: bytes, sender: Any) -> None:
        """Who cancels what is not there hears how we are, once: so a watchdog learns of networks that only we call."""
        if self._cancellations.cancel(token) or self._lost is None:
            send_last(self._pb_utils, sender)
            return
        lost, self._lost = self._lost, None
        send_last(self._pb_utils, sender, stub.refusal(self._pb_utils, lost))

    def _note_lost(self, error: ModelUnavailable) -> None:
        self._lost = error
