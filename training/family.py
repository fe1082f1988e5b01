"""The parts of the demo family: how each is trained, what it is measured by, where it lives.

Importing a part costs seconds of torch and transformers, so each is imported when it is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.loop import Run
from training.measurement import Measured

PROJECT = Path(__file__).resolve().parents[1]
FAMILY = PROJECT / "families" / "demo"
RUNS = PROJECT / "runs"


@dataclass(frozen=True)
class Order:
    """One wish to train: where the run is kept, where the weights go, and from which seed."""

    run_folder: Path
    weights_folder: Path
    seed: int
    resume: bool


@dataclass(frozen=True)
class Part:
    name: str
    title: str
    recipe: str
    train: Callable[[Order], Run]
    measure: Callable[[Path], list[Measured]]


def tokenizer() -> Part:
    from training.parts import tokenizer, tokenizer_exam

    title = "Tokenizer (CLIPTokenizer)"
    return Part("tokenizer", title, tokenizer.RECIPE, tokenizer.train_part, tokenizer_exam.measure)


def clip() -> Part:
    from training.parts import clip, clip_exam

    return Part("clip", "CLIP (CLIPModel)", clip.RECIPE, clip.train_part, clip_exam.measure)


def vae() -> Part:
    from training.parts import vae, vae_exam

    return Part("vae", "VAE (AutoencoderKL)", vae.RECIPE, vae.train_part, vae_exam.measure)


def sam2() -> Part:
    from training.parts import sam2, sam2_exam

    return Part("sam2", "SAM2 (Sam2Model)", sam2.RECIPE, sam2.train_part, sam2_exam.measure)


def captioner() -> Part:
    from training.parts import captioner, captioner_exam

    title = "Captioner (Blip2ForConditionalGeneration)"
    return Part("captioner", title, captioner.RECIPE, captioner.train_part, captioner_exam.measure)


def unet() -> Part:
    from training.parts import unet, unet_exam

    title = "UNet and text encoder (UNet2DConditionModel, CLIPTextModel)"
    return Part("unet", title, unet.RECIPE, unet.train_part, unet_exam.measure)


PARTS: dict[str, Callable[[], Part]] = {
    "tokenizer": tokenizer,
    "clip": clip,
    "vae": vae,
    "sam2": sam2,
    "captioner": captioner,
    "unet": unet,
}


def is_present(name: str, family: Path = FAMILY) -> bool:
    return (family / name / "README.md").exists()
