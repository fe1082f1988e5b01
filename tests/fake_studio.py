"""A studio without any network, and a listener that remembers: for tests of what surrounds the engine."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelcore.diffusion.call_sizes import FixedCallSize
from modelcore.diffusion.encoding import Pixels
from modelcore.diffusion.events import Finished, Observer, Progress
from modelcore.diffusion.finishing import Decode
from modelcore.diffusion.orders import ModelFacts
from modelcore.diffusion.request import PictureRequest
from modelcore.diffusion.studio import Studio
from modelcore.diffusion.table import Denoise
from modelcore.errors import TriptychError
from tests.fake_rows import FakeRow, Floats, add_one

MODEL = ModelFacts("demo", "0123456789abcdef")
SIDE_PX = 8


def picture_request(**changes: Any) -> PictureRequest:
    plain: dict[str, Any] = {
        "prompt": "a red circle",
        "negative_prompt": "",
        "steps": 3,
        "guidance_scale": 7.5,
        "seed": 7,
        "width": SIDE_PX,
        "height": SIDE_PX,
        "scheduler": "ddim",
        "num_images": 1,
        "init_image": None,
        "mask_image": None,
        "keep_unmasked": False,
        "strength": 0.8,
        "variation_seed": None,
        "variation_strength": 0.0,
        "guidance_rescale": 0.0,
        "guidance_end": 1.0,
        "clip_skip": 0,
        "preview_every": 0,
        "output_format": "png",
        "output_quality": None,
    }
    return PictureRequest(**plain | changes)


class FakePreparer:
    """The arrays hold one request as it is, under `request`; its seed is the number its latents start from."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def parse(self, arrays: Mapping[str, NDArray[Any]]) -> PictureRequest:
        request = arrays["request"].item()
        assert isinstance(request, PictureRequest)
        return request

    def rows(self, request: PictureRequest) -> tuple[Sequence[FakeRow], Sequence[str]]:
        seeds = range(request.seed, request.seed + request.num_images)
        return [FakeRow(float(seed), steps=request.steps, seed=seed) for seed in seeds], self.warnings


def grey(latents: Floats) -> Floats:
    """(rows, 3, side, side): a picture as bright as its latents say, in hundredths of the way up from black."""
    level = latents[:, 0, 0, 0] / 100 * 2 - 1
    return np.broadcast_to(level[:, None, None, None], (len(latents), 3, SIDE_PX, SIDE_PX)).astype(np.float32)


def grey_preview(latents: Floats) -> Pixels:
    return np.full((2, 2, 3), int(latents[0, 0, 0]), np.uint8)


def studio(
    preparer: FakePreparer | None = None,
    *,
    denoise: Denoise = add_one,
    decode: Decode = grey,
    pictures_limit: int = 8,
    pictures_per_decode: int = 4,
    observer: Observer | None = None,
) -> Studio:
    return Studio(
        preparer or FakePreparer(),
        denoise=denoise,
        decode=decode,
        preview_pixels=grey_preview,
        model=MODEL,
        call_size=FixedCallSize(8),
        pictures_per_decode=pictures_per_decode,
        pictures_limit=pictures_limit,
        observer=observer,
    )


def arrays_of(request: PictureRequest) -> dict[str, NDArray[Any]]:
    held = np.empty((), dtype=object)
    held[()] = request
    return {"request": held}


@dataclass
class FakeListener:
    told: list[str] = field(default_factory=list)
    steps: list[Progress] = field(default_factory=list)
    pictures: list[Finished] = field(default_factory=list)
    error: TriptychError | None = None
    is_gone: bool = False
    wants_progress: bool = True
    first_step: threading.Event = field(default_factory=threading.Event)
    end: threading.Event = field(default_factory=threading.Event)
    looked_at: threading.Event = field(default_factory=threading.Event)

    def progress(self, event: Progress) -> None:
        self.told.append("progress")
        self.steps.append(event)
        self.first_step.set()

    def finished(self, event: Finished) -> None:
        self.told.append("finished")
        self.pictures.append(event)

    def failed(self, error: TriptychError) -> None:
        self.told.append("failed")
        self.error = error

    def closed(self) -> None:
        self.told.append("closed")
        self.end.set()

    def is_cancelled(self) -> bool:
        self.looked_at.set()
        return self.is_gone

    def wait_for_looks(self) -> None:
        """Twice, so that whoever is looked at before this one has been looked at as he is now."""
        for _ in range(2):
            self.looked_at.clear()
            assert self.looked_at.wait(timeout=10), "nobody looks"

    def wait(self) -> "FakeListener":
        assert self.end.wait(timeout=10), "nobody closed it"
        return self


def paint(studio: Studio, **changes: Any) -> FakeListener:
    listener = FakeListener()
    studio.paint(arrays_of(picture_request(**changes)), listener)
    return listener
