"""One request from its arrival to its end, and each of its pictures: what is told of them, and when.

Knows the listener and the teller; knows nothing of how rows are made or of who calls the network.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelcore.diffusion.encoding import Pixels, encode_picture, encode_preview
from modelcore.diffusion.events import Finished, Listener, Progress
from modelcore.diffusion.finishing import Finisher, Unfinished
from modelcore.diffusion.lookout import Lookout
from modelcore.diffusion.parameters_text import parameters_text
from modelcore.diffusion.request import PictureRequest
from modelcore.diffusion.table import TableRow
from modelcore.diffusion.teller import Teller
from modelcore.errors import TriptychError

# Of not taking what it is told. A listener that has gone is noticed much sooner, one that is slow takes no second.
GIVEN_UP_AFTER_S = 10.0

_log = logging.getLogger(__name__)


class PictureRow(TableRow, Protocol):
    """A row that ends in latents. Its `step` counts calls of the network, what is shown counts what was asked for."""

    @property
    def seed(self) -> int: ...

    @property
    def variation_seed(self) -> int | None: ...

    @property
    def shown_step(self) -> int: ...

    @property
    def shown_steps(self) -> int: ...

    @property
    def latents(self) -> NDArray[np.float32]: ...

    def preview(self) -> NDArray[np.float32] | None: ...


@dataclass(frozen=True)
class ModelFacts:
    """Which weights made a picture."""

    name: str
    digest: str


@dataclass(frozen=True)
class Workshop:
    """What all orders of a family share."""

    model: ModelFacts
    teller: Teller
    lookout: Lookout
    finisher: Finisher
    preview_pixels: Callable[[NDArray[np.float32]], Pixels]  # latents -> a small picture
    on_given_up: Callable[[int], None]  # is told how many listeners take nothing


class Order:
    """The last of its pictures to end closes it. Ends of pictures come from several threads."""

    def __init__(self, listener: Listener, workshop: Workshop, *, on_closed: Callable[[int], None]) -> None:
        self.workshop = workshop
        self.accepted_at_s = time.perf_counter()
        self.places = 0  # it has taken, of the studio's
        self._listener = listener
        self._on_closed = on_closed
        self._lock = threading.Lock()
        self._pictures_left = 0
        self._error: TriptychError | None = None
        self._is_cancelled = False
        workshop.lookout.watch(self.look)

    def is_cancelled(self) -> bool:
        """As far as is known: `look` finds out."""
        return self._is_cancelled

    def look(self) -> None:
        self.workshop.teller.look()
        self._is_cancelled = self._is_cancelled or self._has_left()
        if self.workshop.teller.stalled_s(self) > GIVEN_UP_AFTER_S:
            self._is_cancelled = True
            self._give_back()
            self.workshop.on_given_up(self.workshop.teller.stalled)

    def pictures(
        self, request: PictureRequest, rows: Sequence[PictureRow], warnings: Sequence[str]
    ) -> list["PictureInWork"]:
        self._pictures_left = len(rows)
        return [PictureInWork(self, request, index, row, warnings) for index, row in enumerate(rows)]

    @property
    def wants_progress(self) -> bool:
        return self._listener.wants_progress

    def tell(self, message: Callable[[Listener], None]) -> None:
        self.workshop.teller.tell(self, lambda: message(self._listener))

    def turn_away(self, error: TriptychError) -> None:
        """On the caller's own thread: at the door there is nothing yet that this could overtake."""
        self._close(error)

    def refuse(self, error: TriptychError) -> None:
        """Instead of any picture."""
        self.workshop.teller.tell(self, lambda: self._close(error))

    def leave(self) -> None:
        """Cancelled before any picture."""
        self.workshop.teller.tell(self, lambda: self._close(None))

    def picture_ended(self, error: TriptychError | None = None) -> None:
        """A picture that fails takes none of its brothers with it: they are delivered before the error is told."""
        with self._lock:
            self._error = self._error or error
            self._pictures_left -= 1
            is_last = self._pictures_left == 0
        if is_last:
            self.workshop.teller.tell(self, lambda: self._close(self._error))

    def _has_left(self) -> bool:
        try:
            return self._listener.is_cancelled()
        except Exception:
            # Whoever cannot be asked cannot be answered either; and there are others to serve.
            _log.exception("a listener failed while it was asked whether it is still there")
            return True

    def _close(self, error: TriptychError | None) -> None:
        try:
            if error is not None:
                self._listener.failed(error)
        finally:
            self._give_back()
            self._listener.closed()

    def _give_back(self) -> None:
        """Once, whether it is closed or given up first."""
        with self._lock:
            places, self.places = self.places, 0
        self._on_closed(places)
        self.workshop.lookout.forget(self.look)


class PictureInWork:
    """One picture of an order, as the table and the finisher speak of it."""

    def __init__(
        self, order: Order, request: PictureRequest, index: int, row: PictureRow, warnings: Sequence[str]
    ) -> None:
        self.row = row
        self._order = order
        self._request = request
        self._index = index
        self._warnings = warnings
        self._prepared_at_s = time.perf_counter()
        self._denoised_at_s = 0.0
        self._told_step = 0

    def is_cancelled(self) -> bool:
        return self._order.is_cancelled()

    def stepped(self, eta_s: float) -> None:
        step, steps = self.row.shown_step, self.row.shown_steps
        if step == self._told_step or not self._order.wants_progress:
            return
        self._told_step = step
        preview = self.row.preview() if self._wants_preview(step) else None
        self._order.tell(lambda listener: listener.progress(self._progress(step, steps, eta_s, preview)))

    def done(self) -> None:
        self._denoised_at_s = time.perf_counter()
        self._order.workshop.finisher.submit(Unfinished(self.row.latents, self._finish, self.failed))

    def failed(self, error: TriptychError) -> None:
        self._order.picture_ended(error)

    def cancelled(self) -> None:
        self._order.picture_ended()

    def _wants_preview(self, step: int) -> bool:
        """Not at the last step: the picture itself is about to come."""
        every = self._request.preview_every
        return every > 0 and step % every == 0 and not self.row.is_done

    def _progress(self, step: int, steps: int, eta_s: float, preview: NDArray[np.float32] | None) -> Progress:
        pixels = b"" if preview is None else encode_preview(self._order.workshop.preview_pixels(preview))
        return Progress(self._index, step, steps, eta_s, pixels)

    def _finish(self, pixels: Pixels) -> None:
        model, seed = self._order.workshop.model, self.row.seed
        text = parameters_text(self._request, seed, self.row.variation_seed, model.name, model.digest)
        pixels = with_kept_pixels(pixels, self._request)
        image = encode_picture(pixels, self._request.output_format, text, self._request.output_quality)
        event = Finished(self._index, seed, image, self._info(seed))
        self._order.tell(lambda listener: listener.finished(event))
        self._order.picture_ended()

    def _info(self, seed: int) -> dict[str, Any]:
        model, now_s = self._order.workshop.model, time.perf_counter()
        return {
            "model": model.name,
            "model_digest": model.digest,
            "parameters": _parameters(self._request, seed, self.row.variation_seed),
            "warnings": list(self._warnings),
            "timings_s": {
                "prepare": round(self._prepared_at_s - self._order.accepted_at_s, 6),
                "denoise": round(self._denoised_at_s - self._prepared_at_s, 6),
                "finish": round(now_s - self._denoised_at_s, 6),
                "total": round(now_s - self._order.accepted_at_s, 6),
            },
        }


def with_kept_pixels(pixels: Pixels, request: PictureRequest) -> Pixels:
    """An autoencoder changes every pixel a little, wherever the mask is; and where the mask is grey, both show."""
    if not request.keep_unmasked or request.mask_image is None or request.init_image is None:
        return pixels
    share = request.mask_image[..., None]
    return np.rint(share * pixels + (1 - share) * request.init_image).astype(np.uint8)


def _parameters(request: PictureRequest, seed: int, variation_seed: int | None) -> dict[str, Any]:
    """What it takes to ask for this very picture again, alone; pictures that came in are not repeated."""
    wanted: dict[str, Any] = {
        name: getattr(request, name)
        for name in (
            "prompt",
            "negative_prompt",
            "steps",
            "guidance_scale",
            "width",
            "height",
            "scheduler",
            "guidance_rescale",
            "guidance_end",
            "clip_skip",
            "output_format",
        )
    }
    wanted["seed"] = seed
    if request.output_quality is not None:
        wanted["output_quality"] = request.output_quality
    if request.init_image is not None:
        wanted["strength"] = request.strength
    if request.mask_image is not None:
        wanted["keep_unmasked"] = request.keep_unmasked
    if variation_seed is not None:
        wanted["variation_seed"] = variation_seed
        wanted["variation_strength"] = request.variation_strength
    return wanted
