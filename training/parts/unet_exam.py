"""Measure the text-to-image pipeline of a family: does the checker see what the caption says?

Pictures are made by diffusers' own StableDiffusionPipeline from held-out captions, with the steps, the guidance and the
scheduler that the family has for whoever asks for none.
"""

import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray

from modelcore.diffusion.schedulers import make_scheduler
from modelcore.family import FAMILY_FILE, Defaults, read_diffusion
from training.bars import CASES, EXAM_SEED
from training.checker import Answer, Found, check
from training.drawing import Pixels
from training.grammar import Caption
from training.measurement import Measured, average, share
from training.parts.clip_exam import PAIRS, Judge
from training.scene import CANVAS_PX, relation
from training.world import Split, World

_AT_ONCE = 10  # pictures
_TIMED = 7  # pictures, the first of which only warms up


@dataclass(frozen=True, slots=True)
class Painted:
    caption: Caption
    pixels: Pixels
    answer: Answer


def measure(folder: Path, split: Split = "held_out", seed: int = EXAM_SEED) -> list[Measured]:
    studio = load(folder.parent)
    one = paint_all(studio, captions(World(split, seed, (1,)), CASES), seed)
    two = paint_all(studio, captions(World(split, seed, (2,)), CASES, related=True), seed)
    with_background = [picture for picture in one + two if picture.caption.background]
    results = [
        share("unet.one", sum(map(things_are_right, one)), len(one)),
        share("unet.two", sum(map(things_are_right, two)), len(two)),
        share("unet.relation", sum(map(relation_is_right, two)), len(two)),
        share("unet.background", sum(map(background_is_right, with_background)), len(with_background)),
        share("unet.clip", named_by_clip(Judge(folder.parent / "clip"), one), len(one)),
        average("unet.seconds", seconds(studio)),
    ]
    if split == "held_out":
        unseen = paint_all(studio, captions(World(split, seed, (1,), unseen=True), CASES), seed)
        results.insert(1, share("unet.unseen", sum(map(things_are_right, unseen)), len(unseen)))
    return results


@dataclass(frozen=True, slots=True)
class Studio:
    """A family's pipeline, and how it paints by default."""

    pipeline: StableDiffusionPipeline
    defaults: Defaults


def load(family: Path) -> Studio:
    told = read_diffusion(family / FAMILY_FILE)
    pipeline = StableDiffusionPipeline.from_pretrained(family, dtype=torch.float32, low_cpu_mem_usage=False)
    pipeline.scheduler = make_scheduler(told.defaults.scheduler, pipeline.scheduler.config, told.architecture)
    pipeline.set_progress_bar_config(disable=True)
    return Studio(pipeline, told.defaults)


def captions(world: World, count: int, *, related: bool = False) -> list[Caption]:
    """The world's first captions; only such as tell a relation, where that is asked."""
    index, found = 0, []
    while len(found) < count:
        _, caption = world.told_scene(index)
        if caption.relation or not related:
            found.append(caption)
        index += 1
    return found


def paint_all(studio: Studio, wanted: list[Caption], seed: int) -> list[Painted]:
    remaining, painted = iter(enumerate(wanted)), []
    while chunk := list(islice(remaining, _AT_ONCE)):
        pictures = paint(studio, [caption.text for _, caption in chunk], [seed + index for index, _ in chunk])
        painted += [Painted(c, p, check(p)) for (_, c), p in zip(chunk, pictures, strict=True)]
    return painted


def paint(studio: Studio, texts: list[str], seeds: list[int]) -> list[Pixels]:
    """Each picture's noise is its own, so that it is the same in any company."""
    made = studio.pipeline(
        texts,
        height=CANVAS_PX,
        width=CANVAS_PX,
        num_inference_steps=studio.defaults.steps,
        guidance_scale=studio.defaults.guidance_scale,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="np",
    )
    pictures: NDArray = made.images  # (pictures, 128, 128, 3), 0 to 1
    return list((pictures * 255).round().astype("uint8"))


def things_are_right(picture: Painted) -> bool:
    """Just the things that the caption names, each of its colour and shape."""
    named = sorted((mention.colour, mention.shape) for mention in picture.caption.mentions)
    return named == sorted((found.colour, str(found.shape)) for found in picture.answer.things)


def relation_is_right(picture: Painted) -> bool:
    """Also where the caption says. The two things of a scene are never of one pair, so each is known by its pair."""
    if not things_are_right(picture):
        return False
    first, second = (_found(picture.answer, mention.colour, mention.shape) for mention in picture.caption.mentions)
    return relation(first.x, first.y, second.x, second.y) == picture.caption.relation


def background_is_right(picture: Painted) -> bool:
    return picture.answer.background == picture.caption.background


def named_by_clip(judge: Judge, pictures: list[Painted]) -> int:
    """How many pictures of one thing the family's own CLIP names rightly, of 48 names."""
    prompts = [f"a {colour} {shape}" for colour, shape in PAIRS]
    stacked = torch.stack([torch.from_numpy(picture.pixels).permute(2, 0, 1) for picture in pictures]).float() / 255
    chosen = (judge.pictures(stacked) @ judge.texts(prompts).T).argmax(dim=1).tolist()
    mentions = [picture.caption.mentions[0] for picture in pictures]
    return sum(PAIRS[index] == (m.colour, m.shape) for index, m in zip(chosen, mentions, strict=True))


def seconds(studio: Studio) -> list[float]:
    """For one picture, again and again."""
    taken = []
    for number in range(_TIMED):
        began = time.perf_counter()
        paint(studio, ["a red circle"], [number])
        taken.append(time.perf_counter() - began)
    return taken[1:]


def _found(answer: Answer, colour: str, shape: str) -> Found:
    return next(found for found in answer.things if (found.colour, found.shape) == (colour, shape))
