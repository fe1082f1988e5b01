import numpy as np
import pytest

from training.checker import Answer, check
from training.components import components
from training.drawing import draw
from training.scene import BACKGROUNDS, COLOURS, SHAPES, Background, Scene, Thing
from training.world import Sample, World


def sees_all(sample: Sample) -> bool:
    answer, scene = check(sample.drawing.pixels), sample.scene
    return names(answer) == truth(scene) and answer.background == scene.background


def names(answer: Answer) -> list[tuple[str, ...]]:
    return sorted((found.colour, str(found.shape), found.size) for found in answer.things)


def truth(scene: Scene) -> list[tuple[str, ...]]:
    return sorted((thing.colour, thing.shape, thing.size) for thing in scene.things)


def test_checker_is_right_about_99_of_100_scenes_it_never_saw() -> None:
    samples = list(World("held_out", 77).samples(400))
    assert sum(map(sees_all, samples)) >= 0.99 * len(samples)


def test_checker_is_right_about_unseen_pairs() -> None:
    samples = list(World("held_out", 77, unseen=True).samples(100))
    assert sum(map(sees_all, samples)) >= 99


def test_masks_and_places_are_those_of_the_drawing() -> None:
    thing = Thing("heart", "purple", 55, 70, 40)
    drawing = draw(Scene("checkered", (thing,), (5, 2)))
    (found,) = check(drawing.pixels).things
    overlap = (found.mask & drawing.masks[0]).sum() / (found.mask | drawing.masks[0]).sum()
    assert overlap > 0.95
    assert (found.x, found.y) == pytest.approx((70, 40), abs=3)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_empty_background_is_named_and_holds_nothing(background: Background) -> None:
    answer = check(draw(Scene(background, (), (3, 7))).pixels)
    assert answer == Answer((), background)


def test_every_colour_and_shape_is_told_apart() -> None:
    for colour in COLOURS:
        for shape in SHAPES:
            scene = Scene("gray", (Thing(shape, colour, 34, 64, 64),))
            assert names(check(draw(scene).pixels)) == [(colour, shape, "small")]


def test_blob_that_is_no_shape_gets_no_shape() -> None:
    pixels = np.full((128, 128, 3), 240, dtype=np.uint8)
    pixels[30:40, 30:110] = (220, 30, 30)
    (found,) = check(pixels).things
    assert (found.colour, found.shape) == ("red", None)


def test_specks_are_not_things() -> None:
    pixels = np.full((128, 128, 3), 240, dtype=np.uint8)
    pixels[30:36, 30:36] = (220, 30, 30)
    assert check(pixels).things == ()


def test_pixels_that_touch_by_a_corner_only_are_apart() -> None:
    assert len(components(np.eye(3, dtype=bool))) == 3


def test_arms_that_meet_below_are_one_region() -> None:
    mask = np.array([[1, 0, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
    (region,) = components(mask)
    np.testing.assert_array_equal(region, mask)
