"""Measure the captioner in a folder: are its words true, and do its vectors find the right picture?"""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import Blip2ForConditionalGeneration, CLIPTokenizer

from training.bars import CASES, EXAM_SEED
from training.grammar import Caption, is_true
from training.measurement import Measured, share
from training.parts.captioner import EMBEDDING_FILE
from training.parts.clip import normalised, shrunk
from training.parts.clip_exam import CAPTIONS, Judge, _false_captions
from training.scene import Scene
from training.telling import read
from training.tensors import pixels_tensor
from training.world import Sample, Split, World

LONGEST_CAPTION = 30  # tokens


class Teller:
    def __init__(self, folder: Path) -> None:
        self.model = Blip2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.head = load_file(folder / EMBEDDING_FILE)["weight"].float()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)

    def captions(self, samples: list[Sample]) -> list[str]:
        said = self.model.generate(_pixels(samples), max_new_tokens=LONGEST_CAPTION, do_sample=False)
        return self.tokenizer.batch_decode(said, skip_special_tokens=True)

    @torch.inference_mode()
    def vectors(self, samples: list[Sample]) -> Tensor:
        """(samples, width), unit length, in the space of the family's CLIP."""
        seen = self.model.get_image_features(_pixels(samples)).qformer_outputs.last_hidden_state.mean(dim=1)
        return functional.normalize(seen @ self.head.T, dim=-1)


def measure(folder: Path, split: Split = "held_out", seed: int = EXAM_SEED) -> list[Measured]:
    teller = Teller(folder)
    return [
        share("captioner.one", *told_right(teller, World(split, seed, (1,)))),
        share("captioner.two", *told_right(teller, World(split, seed, (2,)))),
        share("captioner.found", *found(teller, Judge(folder.parent / "clip"), World(split, seed))),
    ]


def told_right(teller: Teller, world: World) -> tuple[int, int]:
    samples = list(world.samples(CASES))
    told = teller.captions(samples)
    return sum(is_right(text, sample.scene) for text, sample in zip(told, samples, strict=True)), len(samples)


def is_right(text: str, scene: Scene) -> bool:
    """Colours, shapes and the relation; a wrong size or background is another matter."""
    caption = read(text)
    if caption is None or (len(scene.things) == 2 and caption.relation is None):
        return False
    mentions = tuple(replace(mention, size=None) for mention in caption.mentions)
    return is_true(replace(caption, mentions=mentions, background=None), scene)


def found(teller: Teller, judge: Judge, world: World) -> tuple[int, int]:
    """Each picture's vector nearer to its own caption by CLIP than to 99 captions that are false of it."""
    samples = list(world.samples(CASES))
    captions: list[Caption] = [sample.caption for sample in samples]
    likeness = teller.vectors(samples) @ judge.texts([caption.text for caption in captions]).T
    right = 0
    for row, sample in enumerate(samples):
        others = _false_captions(sample.scene, captions, row)
        right += bool(likeness[row, row] > likeness[row, others].max())
    assert len(captions) > CAPTIONS
    return right, len(samples)


def _pixels(samples: list[Sample]) -> Tensor:
    return normalised(shrunk(pixels_tensor([sample.drawing for sample in samples])))
