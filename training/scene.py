"""What a scene is: things with a shape, a colour, a size and a place on a background.

Knows neither pixels nor words: `drawing` makes pixels of a scene, `grammar` makes words of it.
"""

from dataclasses import dataclass
from typing import Literal

Colour = Literal["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink"]
Shape = Literal["circle", "square", "triangle", "star", "heart", "cross"]
Size = Literal["small", "large"]
Background = Literal["white", "gray", "black", "striped", "checkered", "dotted"]
Relation = Literal["above", "below", "left of", "right of"]
Pair = tuple[Colour, Shape]

COLOURS: tuple[Colour, ...] = (
    "red",
    "orange",
    "yellow",
    "green",
    "cyan",
    "blue",
    "purple",
    "pink",
)
SHAPES: tuple[Shape, ...] = ("circle", "square", "triangle", "star", "heart", "cross")
SIZES: tuple[Size, ...] = ("small", "large")
PLAIN_BACKGROUNDS: tuple[Background, ...] = ("white", "gray", "black")
TEXTURED_BACKGROUNDS: tuple[Background, ...] = ("striped", "checkered", "dotted")
BACKGROUNDS: tuple[Background, ...] = PLAIN_BACKGROUNDS + TEXTURED_BACKGROUNDS
RELATIONS: tuple[Relation, ...] = ("above", "below", "left of", "right of")
OPPOSITE: dict[Relation, Relation] = {
    "above": "below",
    "below": "above",
    "left of": "right of",
    "right of": "left of",
}

# Never seen in training nor in tuning: one pair for each shape, each of another colour.
UNSEEN_PAIRS: frozenset[Pair] = frozenset(
    {
        ("yellow", "circle"),
        ("pink", "square"),
        ("purple", "triangle"),
        ("green", "star"),
        ("orange", "heart"),
        ("cyan", "cross"),
    }
)

CANVAS_PX = 128
SIZE_RANGE_PX: dict[Size, tuple[int, int]] = {"small": (30, 38), "large": (50, 58)}
SMALLEST_LARGE_PX = 44  # halfway between the two ranges: what the checker calls large


@dataclass(frozen=True, slots=True)
class Thing:
    shape: Shape
    colour: Colour
    size_px: int
    x: int  # centre, pixels from the left
    y: int  # centre, pixels from the top
    shade: tuple[int, int, int] = (0, 0, 0)  # added to the colour's RGB

    @property
    def size(self) -> Size:
        return "large" if self.size_px >= SMALLEST_LARGE_PX else "small"

    @property
    def pair(self) -> Pair:
        return self.colour, self.shape


@dataclass(frozen=True, slots=True)
class Scene:
    background: Background
    things: tuple[Thing, ...]
    phase: tuple[int, int] = (0, 0)  # where the background's texture begins, pixels


def relation(x: float, y: float, other_x: float, other_y: float) -> Relation:
    """Where the first point lies as seen from the other: the longer axis decides."""
    right, down = x - other_x, y - other_y
    if abs(down) >= abs(right):
        return "below" if down > 0 else "above"
    return "right of" if right > 0 else "left of"
