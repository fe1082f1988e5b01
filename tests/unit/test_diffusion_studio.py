import gc
import io
import json
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from modelcore.diffusion.request import PictureRequest
from modelcore.diffusion.studio import Studio
from modelcore.errors import InternalFault, InvalidInput, ModelUnavailable, Overloaded, Unavailable
from tests.fake_rows import FakeObserver, FakeRow, Floats, PatientNetwork
from tests.fake_studio import MODEL, FakeListener, FakePreparer, arrays_of, grey, paint, picture_request, studio

ENDLESS = 10**9  # steps


@pytest.fixture
def opened() -> Iterator[Studio]:
    made = studio()
    yield made
    made.close()


def test_a_request_hears_of_each_step_then_of_its_picture_then_of_its_end(opened: Studio) -> None:
    listener = paint(opened, steps=3).wait()
    assert listener.told == ["progress", "progress", "progress", "finished", "closed"]
    assert [(event.step, event.steps) for event in listener.steps] == [(1, 3), (2, 3), (3, 3)]


def test_the_picture_is_the_decoded_latents(opened: Studio) -> None:
    (picture,) = paint(opened, seed=40, steps=10).wait().pictures
    decoded = np.asarray(Image.open(io.BytesIO(picture.image)))
    assert decoded.shape == (8, 8, 3)
    assert set(decoded.ravel()) == {round(0.5 * 255)}


def test_several_pictures_have_the_seeds_that_follow(opened: Studio) -> None:
    pictures = paint(opened, seed=40, num_images=3).wait().pictures
    assert sorted((picture.index, picture.seed) for picture in pictures) == [(0, 40), (1, 41), (2, 42)]


def test_info_is_json_and_tells_how_to_get_the_picture_again(opened: Studio) -> None:
    (picture,) = paint(opened, seed=40, prompt="ein Bär").wait().pictures
    info = json.loads(json.dumps(dict(picture.info)))
    assert (info["model"], info["model_digest"]) == (MODEL.name, MODEL.digest)
    assert info["parameters"]["prompt"] == "ein Bär"
    assert info["parameters"]["seed"] == 40


def test_info_carries_the_warnings_and_the_time_each_part_took() -> None:
    preparer = FakePreparer()
    preparer.warnings = ["the prompt was cut"]
    made = studio(preparer)
    (picture,) = paint(made).wait().pictures
    made.close()
    timings = picture.info["timings_s"]
    assert picture.info["warnings"] == ["the prompt was cut"]
    assert timings["total"] == pytest.approx(timings["prepare"] + timings["denoise"] + timings["finish"], abs=1e-5)


def test_previews_come_as_often_as_asked_but_not_with_the_last_step(opened: Studio) -> None:
    listener = paint(opened, steps=6, preview_every=2).wait()
    assert [bool(event.preview) for event in listener.steps] == [False, True, False, True, False, False]


def test_a_preview_shows_the_latents_of_its_own_step(opened: Studio) -> None:
    listener = paint(opened, seed=100, steps=5, preview_every=2).wait()
    shown = [np.asarray(Image.open(io.BytesIO(event.preview))) for event in listener.steps if event.preview]
    assert [int(picture.mean().round()) for picture in shown] == [102, 104]


def test_a_step_that_takes_two_calls_is_told_once() -> None:
    class TwoCallsAStep(FakeRow):
        @property
        def shown_step(self) -> int:
            return self.step // 2

        @property
        def shown_steps(self) -> int:
            return self.steps // 2

    class Preparer(FakePreparer):
        def rows(self, request: PictureRequest) -> tuple[Sequence[FakeRow], Sequence[str]]:
            return [TwoCallsAStep(steps=2 * request.steps)], []

    made = studio(Preparer())
    listener = paint(made, steps=3).wait()
    made.close()
    assert [(event.step, event.steps) for event in listener.steps] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("pictures", [1, 3])
def test_who_measures_hears_of_a_requests_end_once(pictures: int) -> None:
    observer = FakeObserver()
    made = studio(observer=observer)
    paint(made, num_images=pictures).wait()
    made.close()
    assert observer.requests_over == 1


def test_bad_input_fails_and_closes_without_a_picture() -> None:
    class Refusing(FakePreparer):
        def parse(self, arrays: Mapping[str, NDArray[Any]]) -> PictureRequest:
            raise InvalidInput("steps must be between 1 and 50: 0", field="steps")

    made = studio(Refusing())
    listener = paint(made).wait()
    made.close()
    assert listener.told == ["failed", "closed"]
    assert isinstance(listener.error, InvalidInput)
    assert made.pictures_in_work == 0


def test_one_picture_that_fails_does_not_take_its_brothers_with_it() -> None:
    class Breaks(FakeRow):
        def advance(self, noise: Floats) -> None:
            raise InternalFault("the picture of seed 8 is no longer made of numbers")

    class Preparer(FakePreparer):
        def rows(self, request: PictureRequest) -> tuple[Sequence[FakeRow], Sequence[str]]:
            return [FakeRow(steps=2), Breaks(seed=8), FakeRow(steps=3)], []

    made = studio(Preparer())
    listener = paint(made, num_images=3).wait()
    made.close()
    assert [picture.index for picture in listener.pictures] == [0, 2]
    assert listener.told[-2:] == ["failed", "closed"]


def test_a_picture_that_decodes_to_nan_fails() -> None:
    made = studio(decode=lambda latents: grey(latents) * np.float32(np.nan))
    listener = paint(made).wait()
    made.close()
    assert isinstance(listener.error, InternalFault)


def test_latents_that_spoil_a_decoding_fail_alone() -> None:
    network = PatientNetwork()

    def picky(latents: Floats) -> Floats:
        if (latents == 13).any():
            raise InternalFault("no picture of thirteen")
        return grey(network({"latents": latents}))

    made = studio(decode=picky)
    listeners = [paint(made, seed=seed, steps=1) for seed in (11, 12, 13)]
    network.let_through(4)
    assert [len(listener.wait().pictures) for listener in listeners] == [1, 0, 1]
    made.close()


def test_more_pictures_than_there_is_room_for_are_refused_at_once() -> None:
    network = PatientNetwork()
    made = studio(denoise=network, pictures_limit=3)
    accepted = paint(made, num_images=3)
    network.wait_for_call()
    refused = paint(made)
    assert refused.told == ["failed", "closed"]
    assert isinstance(refused.error, Overloaded)
    network.let_through(3)
    accepted.wait()
    made.close()


def test_a_request_for_too_many_pictures_takes_no_room() -> None:
    made = studio(pictures_limit=3)
    assert isinstance(paint(made, num_images=4).wait().error, Overloaded)
    assert len(paint(made, num_images=3).wait().pictures) == 3
    assert made.pictures_in_work == 0
    made.close()


def test_a_request_that_is_slow_to_prepare_holds_nobody_up() -> None:
    gate = threading.Event()

    class Slow(FakePreparer):
        def parse(self, arrays: Mapping[str, NDArray[Any]]) -> PictureRequest:
            request = super().parse(arrays)
            if request.prompt == "slow":
                assert gate.wait(timeout=10)
            return request

    made = studio(Slow())
    slow = paint(made, prompt="slow")
    assert paint(made).wait().told[-1] == "closed"
    gate.set()
    slow.wait()
    made.close()


def test_a_cancelled_request_is_closed_without_an_error() -> None:
    network = PatientNetwork()
    made = studio(denoise=network)
    listener, staying = paint(made, steps=50), paint(made, steps=3)
    network.wait_for_call()
    listener.is_gone = True
    staying.wait_for_looks()
    network.let_through(50)
    listener.wait()
    staying.wait()
    made.close()
    assert listener.told in (["closed"], ["progress", "closed"])
    assert set(network.calls[1:]) == {1}


def test_a_request_cancelled_before_its_turn_is_not_even_prepared() -> None:
    class Counting(FakePreparer):
        parsed = 0

        def parse(self, arrays: Mapping[str, NDArray[Any]]) -> PictureRequest:
            self.parsed += 1
            return super().parse(arrays)

    made = studio(preparer := Counting())
    listener = FakeListener(is_gone=True)
    made.paint(arrays_of(picture_request()), listener)
    listener.wait()
    made.close()
    assert (preparer.parsed, listener.told) == (0, ["closed"])


def test_a_listener_that_cannot_be_asked_counts_as_gone(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeListener):
        def is_cancelled(self) -> bool:
            raise RuntimeError("no such stream")

    made = studio()
    listener = Broken()
    made.paint(arrays_of(picture_request()), listener)
    assert listener.wait().told == ["closed"]
    made.close()
    assert "no such stream" in caplog.text


def test_a_listener_that_fails_leaves_the_others_untouched(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeListener):
        def progress(self, event: object) -> None:
            raise RuntimeError("rude")

    made = studio()
    broken = Broken()
    made.paint(arrays_of(picture_request()), broken)
    assert paint(made).wait().told[-1] == "closed"
    assert broken.wait().told[-1] == "closed"
    made.close()
    assert "rude" in caplog.text


def test_closing_fails_what_is_in_work_and_closes_each_once() -> None:
    made = studio()
    listeners = [paint(made, steps=ENDLESS) for _ in range(4)]
    assert listeners[0].first_step.wait(timeout=10)
    made.close()
    assert all(isinstance(listener.error, Unavailable) for listener in listeners)
    assert [listener.told.count("closed") for listener in listeners] == [1] * 4
    assert all(listener.told[-1] == "closed" for listener in listeners)


def test_a_request_after_closing_is_refused() -> None:
    made = studio()
    made.close()
    assert paint(made).told == ["failed", "closed"]


def test_closing_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    made = studio()
    paint(made).wait()
    made.close()
    assert set(threading.enumerate()) <= before


def test_a_network_that_is_away_fails_the_request_with_its_name() -> None:
    def away(inputs: dict[str, Floats]) -> Floats:
        raise ModelUnavailable("demo_unet", "the model demo_unet has stopped")

    made = studio(denoise=away)
    listener = paint(made, num_images=2).wait()
    made.close()
    assert listener.told == ["failed", "closed"]
    assert isinstance(listener.error, ModelUnavailable)


def test_nothing_is_kept_of_a_request_that_is_over(opened: Studio) -> None:
    listener = paint(opened, preview_every=1).wait()
    remembered = weakref.ref(listener)
    picture = weakref.ref(listener.pictures[0])
    paint(opened).wait()
    del listener
    gc.collect()
    assert (remembered(), picture()) == (None, None)


def test_forty_requests_of_eight_threads_all_end_and_leave_no_picture_in_work() -> None:
    made = studio(pictures_limit=40)
    listeners: list[FakeListener] = []

    def ask() -> None:
        for steps in range(1, 6):
            listeners.append(paint(made, steps=steps))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(listener.wait().told.count("finished") == 1 for listener in listeners)
    made.close()
    assert made.pictures_in_work == 0
