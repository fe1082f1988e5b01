"""The captioner's own plain way of telling a scene, and the reading of what it told.

One wording for each meaning, sizes and background always said: so a caption can be read back and judged by
`grammar.is_true`. It knows no network.
"""

import re
from typing import cast

from training.grammar import Caption, Mention
from training.scene import (
    BACKGROUNDS,
    COLOURS,
    RELATIONS,
    SHAPES,
    SIZES,
    Background,
    Colour,
    Relation,
    Scene,
    Shape,
    Size,
    Thing,
    relation,
)

_NOUN = re.compile(rf"a ({'|'.join(SIZES)}) ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})")
_SENTENCE = re.compile(rf"(?P<things>.+) on a (?P<background>{'|'.join(BACKGROUNDS)}) background")
_RELATION = re.compile(rf" ({'|'.join(RELATIONS)}) ")
_LIST = re.compile(r", | and ")


def tell(scene: Scene) -> Caption:
    """Everything there is to say, the upper or the left thing first: so where things are is learnt from every word."""
    things = in_order(scene)
    mentions = tuple(Mention(thing.colour, thing.shape, thing.size) for thing in things)
    related = relation(things[0].x, things[0].y, things[1].x, things[1].y) if len(things) == 2 else None
    return Caption(_text(mentions, related, scene.background), mentions, related, scene.background)


def in_order(scene: Scene) -> tuple[Thing, ...]:
    """Of two things the one that is above or to the left of the other comes first; of three the leftmost."""
    things = tuple(sorted(scene.things, key=lambda thing: thing.x))
    if len(things) == 2 and relation(things[0].x, things[0].y, things[1].x, things[1].y) == "below":
        return things[1], things[0]
    return things


def read(text: str) -> Caption | None:
    """What a told text means, or None where it is not of this wording."""
    sentence = _SENTENCE.fullmatch(text.strip())
    if sentence is None:
        return None
    body, background = sentence["things"], cast(Background, sentence["background"])
    related = _RELATION.search(body)
    names = _RELATION.split(body)[::2] if related else _LIST.split(body)
    nouns = [_NOUN.fullmatch(name) for name in names]
    if not all(nouns) or (related and len(names) != 2):
        return None
    mentions = tuple(_mention(*noun.groups()) for noun in nouns if noun)
    return Caption(text, mentions, cast(Relation, related[1]) if related else None, background)


def _text(mentions: tuple[Mention, ...], related: Relation | None, background: Background) -> str:
    names = [f"a {mention.size} {mention.colour} {mention.shape}" for mention in mentions]
    *before, last = names
    joined = f" {related} ".join(names) if related else f"{', '.join(before)} and {last}" if before else last
    return f"{joined} on a {background} background"


def _mention(size: str, colour: str, shape: str) -> Mention:
    return Mention(cast(Colour, colour), cast(Shape, shape), cast(Size, size))
