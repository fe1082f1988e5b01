"""The drawn world: an endless, seeded list of scenes with captions, in three splits that never meet.

A caption belongs to one split by its text's hash, so no held-out caption was ever trained or tuned on. Scenes
with an unseen (colour, shape) pair are drawn only where a held-out world is asked for them.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from training.drawing import Drawing, draw
from training.grammar import Caption, describe
from training.scene import (
    CANVAS_PX,
    COLOURS,
    PLAIN_BACKGROUNDS,
    SHAPES,
    SIZE_RANGE_PX,
    SIZES,
    TEXTURED_BACKGROUNDS,
    UNSEEN_PAIRS,
    Pair,
    Scene,
    Thing,
)

Split = Literal["train", "tune", "held_out"]

MARGIN_PX = 3  # between a thing and the canvas
GAP_PX = 6  # between two things
CLEAR_RELATION = 1.3  # two things stand this much further apart on one axis than on the other
PHASES_PX = (0, 8)  # where a texture may begin
SHADE = 8  # a colour's RGB varies by so much
_TRIES = 60

SEEN_PAIRS: tuple[Pair, ...] = tuple(
    (colour, shape) for colour in COLOURS for shape in SHAPES if (colour, shape) not in UNSEEN_PAIRS
)


@dataclass(frozen=True, slots=True)
class Sample:
    scene: Scene
    caption: Caption
    drawing: Drawing


@dataclass(frozen=True)
class World:
    """`World("train", 1).sample(7)` is the same sample on every machine."""

    split: Split
    seed: int
    counts: tuple[int, ...] = (1, 1, 2, 2, 3)  # how many things, drawn evenly from these
    unseen: bool = False  # every scene has one thing of an unseen pair

    def __post_init__(self) -> None:
        if self.unseen and self.split != "held_out":
            raise ValueError(f"unseen pairs belong to the held-out split: {self.split}")

    def sample(self, index: int) -> Sample:
        scene, caption = self.told_scene(index)
        return Sample(scene, caption, draw(scene))

    def samples(self, count: int, start: int = 0) -> Iterator[Sample]:
        return (self.sample(index) for index in range(start, start + count))

    def told_scene(self, index: int) -> tuple[Scene, Caption]:
        """A scene and one of its captions that belongs to this split, not drawn."""
        rng = random.Random(f"{self.split} {self.seed} {index}")
        while True:
            scene = random_scene(rng, rng.choice(self.counts), unseen=self.unseen)
            for _ in range(_TRIES):
                caption = describe(scene, rng)
                if split_of(caption.text) == self.split:
                    return scene, caption


def split_of(text: str) -> Split:
    bucket = hashlib.sha256(text.encode()).digest()[0] % 10
    return "held_out" if bucket == 0 else "tune" if bucket == 1 else "train"


def random_scene(rng: random.Random, count: int, *, unseen: bool = False) -> Scene:
    textured = rng.random() < 0.4
    background = rng.choice(TEXTURED_BACKGROUNDS if textured else PLAIN_BACKGROUNDS)
    phase = (rng.choice(PHASES_PX), rng.choice(PHASES_PX)) if textured else (0, 0)
    pairs = rng.sample(SEEN_PAIRS, count)
    if unseen:
        pairs[rng.randrange(count)] = rng.choice(sorted(UNSEEN_PAIRS))
    while (places := _random_places(rng, count)) is None:
        pass
    things = (
        Thing(shape, colour, size_px, x, y, _random_shade(rng))
        for (colour, shape), (x, y, size_px) in zip(pairs, places, strict=True)
    )
    return Scene(background, tuple(things), phase)


Place = tuple[int, int, int]  # centre x, centre y, size


def _random_places(rng: random.Random, count: int) -> list[Place] | None:
    """Room for so many things, or None where they did not fit."""
    sizes = [rng.randint(*SIZE_RANGE_PX[rng.choice(SIZES)]) for _ in range(count)]
    places: list[Place] = []
    for size_px in sizes:
        place = _free_place(rng, size_px, places)
        if place is None:
            return None
        places.append(place)
    if count == 2 and not _is_clear(places[0], places[1]):
        return None
    return places


def _free_place(rng: random.Random, size_px: int, taken: list[Place]) -> Place | None:
    low, high = MARGIN_PX + size_px // 2, CANVAS_PX - MARGIN_PX - (size_px + 1) // 2
    for _ in range(_TRIES):
        place = rng.randint(low, high), rng.randint(low, high), size_px
        if all(_is_apart(place, other) for other in taken):
            return place
    return None


def _is_apart(one: Place, other: Place) -> bool:
    needed = (one[2] + other[2] + 1) // 2 + GAP_PX
    return abs(one[0] - other[0]) >= needed or abs(one[1] - other[1]) >= needed


def _is_clear(one: Place, other: Place) -> bool:
    shorter, longer = sorted((abs(one[0] - other[0]), abs(one[1] - other[1])))
    return longer >= CLEAR_RELATION * shorter


def _random_shade(rng: random.Random) -> tuple[int, int, int]:
    red, green, blue = (rng.randint(-SHADE, SHADE) for _ in range(3))
    return red, green, blue
