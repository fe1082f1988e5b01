"""Thirty prompts of two things through REST: painted, named and outlined as well as the family's own cards promise.

What is wanted is read from the cards, which are written anew whenever a network is trained, or asked of transformers.
"""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from bench.painted_meaning import Case, ask, card_interval, meaning, named
from tests.triptych_process import Addresses
from training.parts.clip_exam import PAIRS, Judge
from triptych.project import FAMILIES

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def cases(triptych: Addresses) -> list[Case]:
    return ask(triptych.rest)


def test_two_things_are_painted_as_told_as_often_as_the_card_says(cases: Sequence[Case]) -> None:
    assert meaning(cases).right.interval[1] >= card_interval("unet", "unet.two")[0]


def test_what_is_painted_is_named_as_transformers_clip_names_it(cases: Sequence[Case]) -> None:
    """The same five of the same 48 names, but for near ties."""
    judge = Judge(FAMILIES / "demo" / "clip")
    pixels = torch.from_numpy(np.stack([case.pixels for case in cases])).permute(0, 3, 1, 2).float() / 255
    scores = judge.pictures(pixels) @ judge.texts([f"a {colour} {shape}" for colour, shape in PAIRS]).T
    best = [[" ".join(PAIRS[place]) for place in row] for row in scores.topk(5).indices.tolist()]
    theirs = sum(named(case.things, names) for case, names in zip(cases, best, strict=True))
    assert sum(case.named for case in cases) == pytest.approx(theirs, abs=1)


def test_the_things_that_were_told_have_masks_as_often_as_the_card_says(cases: Sequence[Case]) -> None:
    assert meaning(cases).outlined.interval[1] >= card_interval("sam2", "sam2.found")[0]
