"""Measure the CLIP in a folder: does it name one thing, does it pick the right caption of a hundred?"""

import random
from pathlib import Path

import torch
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from training.bars import CASES, EXAM_SEED
from training.grammar import Caption, is_true
from training.measurement import Measured, share
from training.parts.clip import normalised, shrunk
from training.scene import COLOURS, SHAPES, Pair, Scene
from training.tensors import pixels_tensor
from training.world import Sample, Split, World

CAPTIONS = 100
PAIRS: tuple[Pair, ...] = tuple((colour, shape) for colour in COLOURS for shape in SHAPES)


class Judge:
    def __init__(self, folder: Path) -> None:
        self.model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)

    @torch.inference_mode()
    def images(self, samples: list[Sample]) -> Tensor:
        """(samples, width), unit length."""
        return self.pictures(pixels_tensor([sample.drawing for sample in samples]))

    @torch.inference_mode()
    def pictures(self, pixels: Tensor) -> Tensor:
        """(pictures, 3, 128, 128) of 0 to 1 -> (pictures, width), unit length."""
        pooled = self.model.vision_model(pixel_values=normalised(shrunk(pixels))).pooler_output
        return torch.nn.functional.normalize(self.model.visual_projection(pooled), dim=-1)

    @torch.inference_mode()
    def texts(self, texts: list[str]) -> Tensor:
        tokens = self.tokenizer(texts, padding=True, return_tensors="pt")
        pooled = self.model.text_model(**tokens).pooler_output
        return torch.nn.functional.normalize(self.model.text_projection(pooled), dim=-1)


def measure(folder: Path, split: Split = "held_out", seed: int = EXAM_SEED) -> list[Measured]:
    judge = Judge(folder)
    results = [
        share("clip.zero_shot", *zero_shot(judge, World(split, seed, (1,)))),
        share("clip.retrieval", *retrieval(judge, World(split, seed))),
    ]
    if split == "held_out":
        unseen = World(split, seed, (1,), unseen=True)
        results.insert(1, share("clip.zero_shot_unseen", *zero_shot(judge, unseen)))
    return results


def zero_shot(judge: Judge, world: World) -> tuple[int, int]:
    samples = list(world.samples(CASES))
    prompts = [f"a {colour} {shape}" for colour, shape in PAIRS]
    chosen = (judge.images(samples) @ judge.texts(prompts).T).argmax(dim=1).tolist()
    right = (PAIRS[index] == s.scene.things[0].pair for index, s in zip(chosen, samples, strict=True))
    return sum(right), len(samples)


def retrieval(judge: Judge, world: World) -> tuple[int, int]:
    """Each picture, its own caption, and 99 captions of other pictures that are false of it."""
    samples = list(world.samples(CASES))
    captions = [sample.caption for sample in samples]
    likeness = judge.images(samples) @ judge.texts([caption.text for caption in captions]).T
    right = 0
    for row, sample in enumerate(samples):
        others = _false_captions(sample.scene, captions, row)
        right += bool(likeness[row, row] > likeness[row, others].max())
    return right, len(samples)


def _false_captions(scene: Scene, captions: list[Caption], seed: int) -> list[int]:
    false_ones = [n for n, caption in enumerate(captions) if not is_true(caption, scene)]
    return random.Random(seed).sample(false_ones, CAPTIONS - 1)
