"""What each part must reach, in one place: read by the trainers' cards and by `train demo --check`.

The numbers are the demo family's promise. Training may miss them; nobody moves them to fit.
"""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["share", "dB", "IoU", "share of false", "s"]
AT_MOST: frozenset[Unit] = frozenset({"share of false", "s"})  # where less is better


@dataclass(frozen=True, slots=True)
class Bar:
    says: str
    bar: float | None  # None: measured and told, but promised nowhere
    unit: Unit = "share"


BARS: dict[str, Bar] = {
    "tokenizer.agree": Bar("same ids by transformers and by tokenizers", 1.0),
    "clip.zero_shot": Bar("colour and shape of one thing, zero-shot of 48", 0.97),
    "clip.zero_shot_unseen": Bar("the same, pairs never trained on", None),
    "clip.retrieval": Bar("right caption of 100", 0.85),
    "vae.decibel": Bar("reconstruction", 35.0, "dB"),
    "vae.unchanged": Bar("checker's answer unchanged by it", 0.97),
    "sam2.one": Bar("one click, one thing", 0.90, "IoU"),
    "sam2.two": Bar("one click, two things", 0.85, "IoU"),
    "sam2.three": Bar("one click, three things", 0.85, "IoU"),
    "sam2.found": Bar("things found by automatic masks", 0.95),
    "sam2.false": Bar("false ones among automatic masks", 0.05, "share of false"),
    "captioner.one": Bar("colour and shape told right, one thing", None),
    "captioner.two": Bar("colours, shapes and relation told right, two things", 0.85),
    "captioner.found": Bar("its vector nearest to the right caption of 100, by CLIP", None),
    "unet.one": Bar("one thing painted as told, in colour and shape", 0.95),
    "unet.unseen": Bar("the same, pairs never trained on", 0.80),
    "unet.two": Bar("two things painted, both as told", 0.80),
    "unet.relation": Bar("two things painted, both as told and where", 0.70),
    "unet.background": Bar("background painted as told", 0.95),
    "unet.clip": Bar("one painted thing named rightly by the family's CLIP, zero-shot of 48", 0.95),
    "unet.seconds": Bar("one picture, 20 guided steps in diffusers", 1.5, "s"),
}
CASES = 200  # held-out samples behind each number
EXAM_SEED = 20_000  # of the held-out worlds; trainers use small seeds and another split
