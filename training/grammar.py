"""Say a scene in words, and know whether words are true of a scene.

A caption names every thing of its scene. It may leave out sizes, the relation and the background, and it
never says anything false. Its meaning travels beside its text, so truth never needs a parser.
"""

import random
from dataclasses import dataclass
from itertools import permutations

from training.scene import (
    OPPOSITE,
    Background,
    Colour,
    Relation,
    Scene,
    Shape,
    Size,
    Thing,
    relation,
)

COLOUR_WORDS: dict[Colour, tuple[str, ...]] = {
    "red": ("red",),
    "orange": ("orange",),
    "yellow": ("yellow",),
    "green": ("green",),
    "cyan": ("cyan", "turquoise"),
    "blue": ("blue",),
    "purple": ("purple", "violet"),
    "pink": ("pink",),
}
SHAPE_WORDS: dict[Shape, tuple[str, ...]] = {
    "circle": ("circle", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "heart": ("heart",),
    "cross": ("cross", "plus sign"),
}
SIZE_WORDS: dict[Size, tuple[str, ...]] = {
    "small": ("small", "little", "tiny"),
    "large": ("large", "big", "huge"),
}
BACKGROUND_WORDS: dict[Background, tuple[str, ...]] = {
    "white": ("white",),
    "gray": ("gray", "grey"),
    "black": ("black",),
    "striped": ("striped",),
    "checkered": ("checkered", "chequered"),
    "dotted": ("dotted", "spotted"),
}
RELATION_WORDS: dict[Relation, tuple[str, ...]] = {
    "above": ("above", "over", "higher than"),
    "below": ("below", "under", "beneath"),
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
}
OPENINGS = ("", "", "", "a picture of ", "a drawing of ", "an image of ", "there is ", "we see ")
BACKGROUND_PHRASES = (" on a {} background", " against a {} background", ", {} background")


@dataclass(frozen=True, slots=True)
class Mention:
    colour: Colour
    shape: Shape
    size: Size | None = None

    def fits(self, thing: Thing) -> bool:
        same_pair = (self.colour, self.shape) == thing.pair
        return same_pair and self.size in (None, thing.size)


@dataclass(frozen=True, slots=True)
class Caption:
    text: str
    mentions: tuple[Mention, ...]
    relation: Relation | None = None  # of the first mention to the second
    background: Background | None = None


def describe(scene: Scene, rng: random.Random) -> Caption:
    """One of the many true captions of the scene."""
    things = rng.sample(scene.things, len(scene.things))
    says_sizes = rng.random() < 0.5
    mentions = tuple(Mention(thing.colour, thing.shape, thing.size if says_sizes else None) for thing in things)
    related = None
    if len(things) == 2 and rng.random() < 0.85:
        related = relation(things[0].x, things[0].y, things[1].x, things[1].y)
    background = scene.background if rng.random() < 0.5 else None
    return phrase(mentions, related, background, rng)


def phrase(
    mentions: tuple[Mention, ...],
    related: Relation | None,
    background: Background | None,
    rng: random.Random,
) -> Caption:
    """Put a meaning into words, in one of the grammar's ways."""
    names = [noun_phrase(mention, rng) for mention in mentions]
    body = _related(names, related, rng) if related else _listed(names)
    text = rng.choice(OPENINGS) + body + _background_phrase(background, rng)
    return Caption(text, mentions, related, background)


def noun_phrase(mention: Mention, rng: random.Random) -> str:
    colour = rng.choice(COLOUR_WORDS[mention.colour])
    shape = rng.choice(SHAPE_WORDS[mention.shape])
    order = rng.random()
    if mention.size is None:
        return _with_article(f"{colour} {shape}") if order < 0.85 else f"a {shape} in {colour}"
    size = rng.choice(SIZE_WORDS[mention.size])
    if order < 0.75:
        return f"a {size} {colour} {shape}"
    if order < 0.9:
        return _with_article(f"{colour} {shape} that is {size}")
    return f"a {size} {shape} in {colour}"


def is_true(caption: Caption, scene: Scene) -> bool:
    """Whether some way to match mentions with things makes everything said hold."""
    if caption.background not in (None, scene.background):
        return False
    if len(caption.mentions) != len(scene.things):
        return False
    return any(_holds(caption, things) for things in permutations(scene.things))


def _holds(caption: Caption, things: tuple[Thing, ...]) -> bool:
    pairs = zip(caption.mentions, things, strict=True)
    if not all(mention.fits(thing) for mention, thing in pairs):
        return False
    if caption.relation is None:
        return True
    first, second = things[0], things[1]
    return relation(first.x, first.y, second.x, second.y) == caption.relation


def _related(names: list[str], related: Relation, rng: random.Random) -> str:
    first, second = names
    words = rng.choice(RELATION_WORDS[related])
    order = rng.random()
    if order < 0.7:
        return f"{first} {words} {second}"
    if order < 0.85:
        return f"{words} {second}, {first}"
    opposite = rng.choice(RELATION_WORDS[OPPOSITE[related]])
    return f"{first} with {second} {opposite} it"


def _listed(names: list[str]) -> str:
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last


def _background_phrase(background: Background | None, rng: random.Random) -> str:
    if background is None:
        return ""
    word = rng.choice(BACKGROUND_WORDS[background])
    return rng.choice(BACKGROUND_PHRASES).format(word)


def _with_article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"
