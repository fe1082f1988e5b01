"""From final latents to pixels, off the engine's thread. Latents of one shape that wait together share a decoding."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelcore.diffusion.encoding import Pixels, to_pixels
from modelcore.diffusion.faults import as_triptych_error
from modelcore.errors import InternalFault, TriptychError, Unavailable

Decode = Callable[[NDArray[np.float32]], NDArray[np.float32]]

_THREADS = 2  # one encodes a file while the other waits for the network


@dataclass(frozen=True, eq=False)
class Unfinished:
    """Latents that wait, (channels, height, width), and who is told what became of them: one of the two, once."""

    latents: NDArray[np.float32]
    finished: Callable[[Pixels], None]
    failed: Callable[[TriptychError], None]


class Finisher:
    def __init__(self, decode: Decode, *, pictures_per_call: int, name: str = "diffusion") -> None:
        self._decode = decode
        self._pictures_per_call = pictures_per_call
        self._waiting: list[Unfinished] = []
        self._changed = threading.Condition()
        self.is_closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-finisher-{number}", daemon=True)
            for number in range(_THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, picture: Unfinished) -> None:
        with self._changed:
            self._waiting.append(picture)
            self._changed.notify()

    def close(self) -> None:
        """What is being decoded is finished; what still waits fails."""
        with self._changed:
            self.is_closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for picture in self._waiting:
            picture.failed(Unavailable("the server is stopping; ask again once it is back"))
        self._waiting.clear()

    def _run(self) -> None:
        while self._finish_next():
            pass

    def _finish_next(self) -> bool:
        """A function of its own, so that nothing holds the last pictures while we wait for the next."""
        together = self._take()
        if together:
            self._finish(together)
        return bool(together)

    def _take(self) -> list[Unfinished]:
        with self._changed:
            while not (self._waiting or self.is_closing):
                self._changed.wait()
            if self.is_closing:
                return []
            shape = self._waiting[0].latents.shape
            together = [picture for picture in self._waiting if picture.latents.shape == shape]
            together = together[: self._pictures_per_call]
            self._waiting = [picture for picture in self._waiting if picture not in together]
            return together

    def _finish(self, together: Sequence[Unfinished]) -> None:
        try:
            decoded = self._decode(np.stack([picture.latents for picture in together]))
        except Exception as error:
            self._blame(together, error)
            return
        for picture, pixels in zip(together, decoded, strict=True):
            _hand_over(picture, pixels)

    def _blame(self, together: Sequence[Unfinished], error: Exception) -> None:
        """One picture may have spoilt the call: only those fail who fail alone, unless the network is away for all."""
        if len(together) == 1 or isinstance(error, Unavailable):
            for picture in together:
                picture.failed(as_triptych_error(error))
            return
        for picture in together:
            self._finish([picture])


def _hand_over(picture: Unfinished, decoded: NDArray[np.float32]) -> None:
    try:
        if not np.isfinite(decoded).all():
            raise InternalFault("the picture decoder's answer is not finite: the picture cannot be shown")
        picture.finished(to_pixels(decoded))
    except Exception as error:
        picture.failed(as_triptych_error(error))
