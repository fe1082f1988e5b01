import gc
import threading
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from modelcore.diffusion.encoding import Pixels
from modelcore.diffusion.finishing import Decode, Finisher, Unfinished
from modelcore.errors import InternalFault, ModelUnavailable, TriptychError, Unavailable
from tests.fake_rows import Floats, PatientNetwork
from tests.fake_studio import grey


class Waiter:
    def __init__(self) -> None:
        self.pixels: Pixels | None = None
        self.error: TriptychError | None = None
        self._ended = threading.Event()

    def finished(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self._ended.set()

    def failed(self, error: TriptychError) -> None:
        self.error = error
        self._ended.set()

    def wait(self) -> "Waiter":
        assert self._ended.wait(timeout=10)
        return self


class SlowDecoder:
    """Each call waits until it is let through; remembers the shapes it was called with."""

    def __init__(self) -> None:
        self.gate = PatientNetwork()
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, latents: Floats) -> Floats:
        self.shapes.append(latents.shape)
        self.gate({"latents": latents})
        return grey(latents)


@pytest.fixture
def decoder() -> SlowDecoder:
    return SlowDecoder()


@pytest.fixture
def busy(decoder: SlowDecoder) -> Iterator[Finisher]:
    """Its two threads are each in a call, so that whatever is submitted waits."""
    finisher = Finisher(decoder, pictures_per_call=4)
    for _ in range(2):
        submit(finisher, 1.0)
        decoder.gate.wait_for_call()
    yield finisher
    decoder.gate.let_through(100)
    finisher.close()


def submit(finisher: Finisher, level: float, side: int = 2) -> Waiter:
    waiter = Waiter()
    latents = np.full((4, side, side), level, np.float32)
    finisher.submit(Unfinished(latents, waiter.finished, waiter.failed))
    return waiter


def finish(decode: Decode, *levels: float) -> list[Waiter]:
    finisher = Finisher(decode, pictures_per_call=4)
    waiters = [submit(finisher, level).wait() for level in levels]
    finisher.close()
    return waiters


def test_latents_that_wait_together_are_decoded_together(busy: Finisher, decoder: SlowDecoder) -> None:
    waiters = [submit(busy, float(level)) for level in (20, 40, 60)]
    decoder.gate.let_through(3)
    levels = [waiter.wait().pixels for waiter in waiters]
    assert [int(pixels[0, 0, 0]) for pixels in levels if pixels is not None] == [51, 102, 153]
    assert sorted(shape[0] for shape in decoder.shapes) == [1, 1, 3]


def test_no_decoding_has_more_pictures_than_allowed(busy: Finisher, decoder: SlowDecoder) -> None:
    waiters = [submit(busy, 1.0) for _ in range(6)]
    decoder.gate.let_through(4)
    for waiter in waiters:
        waiter.wait()
    assert sorted(shape[0] for shape in decoder.shapes) == [1, 1, 2, 4]


def test_latents_of_two_shapes_are_never_decoded_together(busy: Finisher, decoder: SlowDecoder) -> None:
    waiters = [submit(busy, 1.0, side) for side in (2, 3, 2)]
    decoder.gate.let_through(4)
    for waiter in waiters:
        waiter.wait()
    assert sorted(decoder.shapes) == [(1, 4, 2, 2), (1, 4, 2, 2), (1, 4, 3, 3), (2, 4, 2, 2)]


def test_closing_fails_what_still_waits(busy: Finisher, decoder: SlowDecoder) -> None:
    waiting = submit(busy, 1.0)
    closing = threading.Thread(target=busy.close)
    closing.start()
    while not busy.is_closing:
        closing.join(0.01)
    decoder.gate.let_through(2)
    assert isinstance(waiting.wait().error, Unavailable)
    closing.join()


def test_latents_that_spoil_a_decoding_fail_alone(busy: Finisher, decoder: SlowDecoder) -> None:
    waiters = [submit(busy, level) for level in (10.0, float("nan"), 30.0)]
    decoder.gate.let_through(3)
    assert [waiter.wait().error is None for waiter in waiters] == [True, False, True]


def test_a_decoder_that_refuses_a_call_is_asked_for_each_picture_alone() -> None:
    def refuses(latents: Floats) -> Floats:
        raise InternalFault("the model demo_vae_decoder failed")

    (waiter,) = finish(refuses, 1.0)
    assert isinstance(waiter.error, InternalFault)


def test_a_decoder_that_is_away_is_told_as_such() -> None:
    def away(latents: Floats) -> Floats:
        raise ModelUnavailable("demo_vae_decoder", "the model demo_vae_decoder has stopped")

    (waiter,) = finish(away, 1.0)
    assert isinstance(waiter.error, ModelUnavailable)


def test_nothing_is_kept_of_a_picture_while_the_finisher_waits() -> None:
    finisher = Finisher(grey, pictures_per_call=4)
    waiter = submit(finisher, 1.0).wait()
    remembered = weakref.ref(waiter)
    del waiter
    for _ in range(2):  # a thread may still be on its way back to its waiting
        submit(finisher, 1.0).wait()
    finisher.close()
    gc.collect()
    assert remembered() is None
