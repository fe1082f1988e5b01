"""Requests in, pictures out: what the served model calls. Knows the order of the work, and no network and no server.

A request is prepared by a small pool (its texts and pictures read and encoded), denoised by the engine beside all
others, and finished by the finisher; the teller tells its listener. So nobody waits for another's preparation.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelcore.diffusion.call_sizes import CallSize
from modelcore.diffusion.encoding import Pixels
from modelcore.diffusion.engine import Engine
from modelcore.diffusion.events import Listener, NoObserver, Observer
from modelcore.diffusion.faults import as_triptych_error
from modelcore.diffusion.finishing import Decode, Finisher
from modelcore.diffusion.lookout import Lookout
from modelcore.diffusion.orders import ModelFacts, Order, PictureRow, Workshop
from modelcore.diffusion.places import Places
from modelcore.diffusion.request import PictureRequest
from modelcore.diffusion.table import Denoise
from modelcore.diffusion.teller import Teller
from modelcore.errors import Unavailable

PICTURES_LIMIT = 64
_PREPARING_THREADS = 2  # one reads a picture while the other waits for a text encoder


class Preparer(Protocol):
    """What a family knows of its requests. Called from several threads at once."""

    def parse(self, arrays: Mapping[str, NDArray[Any]]) -> PictureRequest: ...

    def rows(self, request: PictureRequest) -> tuple[Sequence[PictureRow], Sequence[str]]:
        """One row for each picture, and what its caller should be warned of."""


class Studio:
    def __init__(
        self,
        preparer: Preparer,
        *,
        denoise: Denoise,
        decode: Decode,
        preview_pixels: Callable[[NDArray[np.float32]], Pixels],
        model: ModelFacts,
        call_size: CallSize,
        pictures_per_decode: int,
        pictures_limit: int = PICTURES_LIMIT,
        observer: Observer | None = None,
        teller: Teller | None = None,
        on_given_up: Callable[[int], None] = lambda _stalled: None,
    ) -> None:
        """The observer may use the same teller, which is closed with the studio.

        `on_given_up` hears of each request that does not take its answer, and how many of them there are.
        """
        self._preparer = preparer
        self._places = Places(pictures_limit)
        self._observer = observer or NoObserver()
        self._gate = threading.Lock()  # so that nothing enters the pool once it is shut
        self._is_closing = False
        self._pool = ThreadPoolExecutor(_PREPARING_THREADS, thread_name_prefix=f"{model.name}-preparer")
        self._engine = Engine(denoise, call_size=call_size, observer=self._observer, name=model.name)
        finisher = Finisher(decode, pictures_per_call=pictures_per_decode, name=model.name)
        teller = teller or Teller(model.name)
        self._workshop = Workshop(model, teller, Lookout(model.name), finisher, preview_pixels, on_given_up)

    @property
    def pictures_in_work(self) -> int:
        return self._places.taken

    def paint(self, arrays: Mapping[str, NDArray[Any]], listener: Listener) -> None:
        """Returns at once; everything else is told to the listener, refusals too."""
        order = Order(listener, self._workshop, on_closed=self._close_order)
        with self._gate:
            try:
                self._refuse_when_closing()
                self._take_places(order, 1)
            except Unavailable as error:
                order.turn_away(error)
                return
            self._pool.submit(self._prepare, arrays, order)

    def close(self) -> None:
        """What is not done by now fails. Returns when every listener has been told and no thread is left."""
        with self._gate:
            self._is_closing = True
        self._pool.shutdown()
        self._engine.close()
        self._workshop.finisher.close()
        self._workshop.teller.close()
        self._workshop.lookout.close()

    def _prepare(self, arrays: Mapping[str, NDArray[Any]], order: Order) -> None:
        try:
            self._refuse_when_closing()
            order.look()
            if order.is_cancelled():
                order.leave()
                return
            request = self._preparer.parse(arrays)
            self._take_places(order, request.num_images - 1)
            rows, warnings = self._preparer.rows(request)
        except Exception as error:
            order.refuse(as_triptych_error(error))
            return
        for picture in order.pictures(request, rows, warnings):
            self._engine.submit(picture.row, picture)

    def _close_order(self, places: int) -> None:
        self._places.give_back(places)
        self._observer.request_over()

    def _take_places(self, order: Order, count: int) -> None:
        self._places.take(count)
        order.places += count

    def _refuse_when_closing(self) -> None:
        if self._is_closing:
            raise Unavailable("the server is stopping; ask again once it is back", retry_after_s=10)
