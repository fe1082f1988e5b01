"""Does POST /generate paint what it is told, and do its own words and masks say what is there?

    python -m bench.painted_meaning [--prompts 30]

A whole Triptych is asked for the first of the held-out captions of two things by which the UNet was measured, with the
same seeds and, as there, with what the family has for whoever says no more (training/parts/unet_exam.py). The checker,
which is no network, is the truth: which things a picture shows, and where. Printed are rates with Wilson's 95 %
intervals, beside what the model cards say.
"""

import argparse
import base64
import io
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from modelcore.vision.rle import decode
from tests.triptych_process import running_triptych
from training.bars import BARS, EXAM_SEED
from training.checker import Found, check
from training.drawing import Pixels
from training.grammar import Caption
from training.measurement import wilson
from training.parts.unet_exam import Painted, captions, things_are_right
from training.world import World
from triptych.project import FAMILIES

PROMPTS = 30
LEAST_OVERLAP = 0.5  # intersection over union
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Rate:
    right: int
    cases: int

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.cases) if self.cases else (0.0, 1.0)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.right} of {self.cases}, 95 % interval {low:.1%} to {high:.1%}"


@dataclass(frozen=True)
class Case:
    """One prompt: whether its picture is right, and how many of the things in it were named and outlined."""

    pixels: Pixels
    is_right: bool
    things: tuple[Found, ...]
    concepts: tuple[str, ...]
    outlined: int

    @property
    def named(self) -> int:
        return named(self.things, self.concepts)


@dataclass(frozen=True)
class Meaning:
    right: Rate  # pictures with just the two things that were told
    named: Rate  # of these pictures' things, those among the five best labels
    outlined: Rate  # and those that one of the masks covers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.painted_meaning", description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=PROMPTS, metavar="N", help="how many (default: %(default)s)")
    prompts = parser.parse_args().prompts
    with tempfile.TemporaryDirectory() as state, running_triptych(Path(state)) as triptych:
        found = meaning(ask(triptych.addresses.rest, prompts))
    low, high = card_interval("unet", "unet.two")
    say(f"two things painted, both as told: {found.right} (the UNet's card: {low:.1%} to {high:.1%})")
    say(f"things of right pictures among the five best labels: {found.named}")
    low, high = card_interval("sam2", "sam2.found")
    say(f"and those that a mask covers: {found.outlined} (SAM2's card: {low:.1%} to {high:.1%})")
    return 0


def ask(rest: str, prompts: int = PROMPTS) -> list[Case]:
    told = captions(World("held_out", EXAM_SEED, (2,)), prompts, related=True)
    with httpx.Client(base_url=f"http://{rest}", timeout=TIMEOUT_S) as client:
        return [one_case(client, caption, EXAM_SEED + index) for index, caption in enumerate(told)]


def meaning(cases: Sequence[Case]) -> Meaning:
    right = [case for case in cases if case.is_right]
    return Meaning(
        Rate(len(right), len(cases)),
        Rate(sum(case.named for case in right), sum(len(case.things) for case in right)),
        Rate(sum(case.outlined for case in right), sum(len(case.things) for case in right)),
    )


def one_case(client: httpx.Client, caption: Caption, seed: int) -> Case:
    answer = client.post("/generate", json={"prompt": caption.text, "seed": seed}).raise_for_status().json()
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["generated_image"]))).convert("RGB"))
    seen = check(pixels)
    return Case(
        pixels=pixels,
        is_right=things_are_right(Painted(caption, pixels, seen)),
        things=seen.things,
        concepts=tuple(answer["clip_analysis"]["concepts"]),
        outlined=outlined(seen.things, answer["basic_segmentation"]["masks"]),
    )


def named(things: Sequence[Found], concepts: Sequence[str]) -> int:
    return sum(f"{thing.colour} {thing.shape}" in concepts for thing in things)


def outlined(things: Sequence[Found], masks: Sequence[Any]) -> int:
    decoded = [decode(mask).astype(bool) for mask in masks]
    return sum(any(overlap(thing.mask, mask) >= LEAST_OVERLAP for mask in decoded) for thing in things)


def overlap(one: Any, other: Any) -> float:
    return float((one & other).sum() / (one | other).sum())


def card_interval(part: str, key: str) -> tuple[float, float]:
    """What the part's model card says of a measured share."""
    card = (FAMILIES / "demo" / part / "README.md").read_text(encoding="utf-8")
    row = re.search(rf"\| {re.escape(BARS[key].says)} \([^|]*\| [^|]*\| ([0-9.]+) % to ([0-9.]+) % \|", card)
    assert row is not None, f"the card of {part} has no row for {key}"
    return float(row[1]) / 100, float(row[2]) / 100


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
