"""Which words of a prompt count more, in AUTOMATIC1111's notation. Knows no tokens and no model.

    (word)      1.1 times          \\( \\) \\[ \\]   brackets that are meant as such
    [word]      1/1.1 times        ((word))     nested: multiplied
    (word:1.3)  1.3 times

As there, a closing bracket without an opening one is plain text, and an opening one that is never closed counts up to
the end of the prompt. Prompt editing (`[a:b:10]`, `[a|b]`) and `BREAK` have no meaning here: they are words.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass

from modelcore.errors import InvalidInput

MAX_WEIGHT = 10.0
ROUND = 1.1
_SQUARE = 1 / 1.1
_PIECE = re.compile(
    r"""\\(?P<escaped>[()\[\]\\])
      | (?P<opening>[(\[])
      | :\s*(?P<weight>[+-]?(?:\d+\.?\d*|\.\d+))\s*\)
      | (?P<closing>[)\]])
      | [^\\()\[\]:]+
      | .""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class WeightedText:
    """The words without their notation, and from which character on each weight holds."""

    text: str
    starts: tuple[int, ...]
    weights: tuple[float, ...]

    def weight_at(self, character: int) -> float:
        return self.weights[bisect_right(self.starts, character) - 1]


def read_weights(prompt: str, field: str) -> WeightedText:
    """`field` is named when a weight is refused."""
    parts, weights = _parts(prompt)
    for weight in weights:
        if not 0 <= weight <= MAX_WEIGHT:
            raise InvalidInput(
                f"{field} weighs a word by {weight:g}; weights must be between 0 and {MAX_WEIGHT:g}", field=field
            )
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + len(part))
    return WeightedText("".join(parts), (0, *starts[:-1]), (1.0, *weights))


def _parts(prompt: str) -> tuple[list[str], list[float]]:
    """Each stretch of plain text and its weight. A closing bracket weighs all that followed its opening one."""
    parts: list[str] = []
    weights: list[float] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def close(bracket: str, factor: float) -> None:
        for place in range(opened[bracket].pop(), len(weights)):
            weights[place] *= factor

    for piece in _PIECE.finditer(prompt):
        closing = piece["closing"]
        if piece["opening"]:
            opened[piece["opening"]].append(len(parts))
        elif piece["weight"] and opened["("]:
            close("(", float(piece["weight"]))
        elif closing == ")" and opened["("]:
            close("(", ROUND)
        elif closing == "]" and opened["["]:
            close("[", _SQUARE)
        else:
            parts.append(piece["escaped"] or piece[0])
            weights.append(1.0)
    for bracket, factor in (("(", ROUND), ("[", _SQUARE)):
        while opened[bracket]:
            close(bracket, factor)
    return parts, weights
