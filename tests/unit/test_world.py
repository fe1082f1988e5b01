import random

import numpy as np
import pytest

from training.drawing import draw
from training.grammar import Caption, Mention, describe, is_true, phrase
from training.scene import UNSEEN_PAIRS, Scene, Thing, relation
from training.world import GAP_PX, Split, World, split_of

RED_CIRCLE = Thing("circle", "red", 54, 64, 32)
BLUE_SQUARE = Thing("square", "blue", 32, 64, 100)
RED_ABOVE_BLUE = Scene("white", (RED_CIRCLE, BLUE_SQUARE))


def test_same_seed_and_index_give_same_sample() -> None:
    first, again = World("train", 3).sample(11), World("train", 3).sample(11)
    assert first.scene == again.scene
    assert first.caption == again.caption
    np.testing.assert_array_equal(first.drawing.pixels, again.drawing.pixels)


def test_sample_does_not_depend_on_samples_before_it() -> None:
    *_, fifth = World("train", 3).samples(5)
    assert fifth.scene == World("train", 3).sample(4).scene


@pytest.mark.parametrize("split", ["train", "tune", "held_out"])
def test_every_caption_belongs_to_its_worlds_split(split: Split) -> None:
    world = World(split, 1)
    assert {split_of(world.told_scene(index)[1].text) for index in range(200)} == {split}


def test_every_caption_is_true_of_its_scene() -> None:
    told = [World("train", 1).told_scene(index) for index in range(300)]
    assert all(is_true(caption, scene) for scene, caption in told)


@pytest.mark.parametrize("split", ["train", "tune", "held_out"])
def test_unseen_pairs_do_not_appear_unasked(split: Split) -> None:
    scenes = [World(split, 1).told_scene(index)[0] for index in range(300)]
    assert not UNSEEN_PAIRS & {thing.pair for scene in scenes for thing in scene.things}


def test_unseen_world_shows_an_unseen_pair_in_every_scene() -> None:
    world = World("held_out", 1, unseen=True)
    scenes = [world.told_scene(index)[0] for index in range(100)]
    assert all(UNSEEN_PAIRS & {thing.pair for thing in scene.things} for scene in scenes)


def test_unseen_pairs_are_refused_outside_the_held_out_split() -> None:
    with pytest.raises(ValueError, match="held-out"):
        World("train", 1, unseen=True)


def test_unseen_pairs_take_each_shape_once_and_each_colour_at_most_once() -> None:
    colours, shapes = zip(*UNSEEN_PAIRS, strict=True)
    assert len(set(shapes)) == len(shapes) == 6
    assert len(set(colours)) == len(colours)


def test_things_keep_their_distance() -> None:
    world = World("train", 1, counts=(2, 3))
    for index in range(200):
        one, other, *_ = world.told_scene(index)[0].things
        apart = max(abs(one.x - other.x), abs(one.y - other.y))
        assert apart >= (one.size_px + other.size_px) / 2 + GAP_PX


def test_masks_do_not_overlap_and_cover_what_was_painted() -> None:
    blank = draw(Scene("gray", ())).pixels
    drawing = draw(Scene("gray", RED_ABOVE_BLUE.things))
    assert drawing.masks.sum(axis=0).max() == 1
    changed = (drawing.pixels != blank).any(axis=2)
    assert (drawing.masks.any(axis=0) <= changed).all()


def test_circle_covers_the_area_of_a_circle() -> None:
    mask = draw(Scene("white", (RED_CIRCLE,))).masks[0]
    assert mask.sum() == pytest.approx(np.pi * (0.49 * 54) ** 2, rel=0.01)


def test_edges_are_smooth() -> None:
    red = draw(Scene("black", (RED_CIRCLE,))).pixels[..., 0]
    assert len(np.unique(red)) > 10


def test_texture_moves_with_its_phase() -> None:
    still, moved = draw(Scene("striped", (), (0, 0))), draw(Scene("striped", (), (0, 3)))
    np.testing.assert_array_equal(still.pixels[3:], moved.pixels[:-3])


@pytest.mark.parametrize(
    ("point", "expected"),
    [((0, -9), "above"), ((3, 9), "below"), ((-9, 3), "left of"), ((9, -3), "right of")],
)
def test_longer_axis_decides_the_relation(point: tuple[int, int], expected: str) -> None:
    assert relation(*point, 0, 0) == expected


@pytest.mark.parametrize(
    "caption",
    [
        Caption("", (Mention("red", "circle"), Mention("blue", "square")), "above"),
        Caption("", (Mention("blue", "square"), Mention("red", "circle")), "below"),
        Caption("", (Mention("blue", "square", "small"), Mention("red", "circle", "large"))),
        Caption("", (Mention("red", "circle"), Mention("blue", "square")), None, "white"),
    ],
)
def test_true_captions_are_true(caption: Caption) -> None:
    assert is_true(caption, RED_ABOVE_BLUE)


@pytest.mark.parametrize(
    "caption",
    [
        Caption("", (Mention("red", "circle"),)),
        Caption("", (Mention("red", "square"), Mention("blue", "circle"))),
        Caption("", (Mention("red", "circle"), Mention("blue", "square")), "below"),
        Caption("", (Mention("red", "circle", "small"), Mention("blue", "square"))),
        Caption("", (Mention("red", "circle"), Mention("blue", "square")), None, "black"),
    ],
)
def test_false_captions_are_false(caption: Caption) -> None:
    assert not is_true(caption, RED_ABOVE_BLUE)


def test_grammar_says_the_readmes_sentence() -> None:
    mentions = (Mention("red", "circle", "large"), Mention("blue", "square", "small"))
    rng = random.Random(1)
    texts = {phrase(mentions, "above", None, rng).text for _ in range(5000)}
    assert "a large red circle above a small blue square" in texts


def test_relation_is_said_in_several_words_and_orders() -> None:
    rng = random.Random(1)
    texts = {describe(RED_ABOVE_BLUE, rng).text for _ in range(3000)}
    assert any(text.startswith(("above a", "over a")) for text in texts)
    assert any("below it" in text or "under it" in text for text in texts)
    assert len(texts) > 2000
