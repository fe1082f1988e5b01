"""Scenes that differ from another in one thing only: the hard negatives of contrastive training."""

import random
from dataclasses import replace

from training.grammar import Caption, describe
from training.scene import BACKGROUNDS, COLOURS, SHAPES, UNSEEN_PAIRS, Scene, Thing
from training.world import split_of


def vary(scene: Scene, rng: random.Random) -> Scene:
    """Change one thing's shape or colour, let two things change looks, or change the background."""
    kind = rng.random()
    if kind < 0.1:
        return replace(scene, background=rng.choice(BACKGROUNDS))
    if kind < 0.4 and len(scene.things) > 1:
        return _looks_exchanged(scene, rng)
    index = rng.randrange(len(scene.things))
    things = list(scene.things)
    things[index] = _repainted(things[index], rng) if kind < 0.6 else _reshaped(things[index], rng)
    return replace(scene, things=tuple(things))


def train_caption(scene: Scene, rng: random.Random) -> Caption:
    """A true caption that belongs to the training split."""
    while True:
        caption = describe(scene, rng)
        if split_of(caption.text) == "train":
            return caption


def _reshaped(thing: Thing, rng: random.Random) -> Thing:
    shapes = [s for s in SHAPES if s != thing.shape and (thing.colour, s) not in UNSEEN_PAIRS]
    return replace(thing, shape=rng.choice(shapes))


def _repainted(thing: Thing, rng: random.Random) -> Thing:
    colours = [c for c in COLOURS if c != thing.colour and (c, thing.shape) not in UNSEEN_PAIRS]
    return replace(thing, colour=rng.choice(colours))


def _looks_exchanged(scene: Scene, rng: random.Random) -> Scene:
    """Two things trade shape, colour or both, as far as no unseen pair comes of it."""
    one, other, *rest = rng.sample(scene.things, len(scene.things))
    shape, colour = rng.choice([(True, True), (True, False), (False, True)])
    new_one = replace(
        one,
        shape=other.shape if shape else one.shape,
        colour=other.colour if colour else one.colour,
    )
    new_other = replace(
        other,
        shape=one.shape if shape else other.shape,
        colour=one.colour if colour else other.colour,
    )
    if UNSEEN_PAIRS & {new_one.pair, new_other.pair}:
        return scene
    return replace(scene, things=(new_one, new_other, *rest))
