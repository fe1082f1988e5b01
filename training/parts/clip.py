"""Train the family's CLIP: two small transformers that agree on which caption tells which picture.

Contrast alone leaves shape at chance for a long time. So the first layer starts whitened; in training only,
linear heads also read colour and shape from every patch; and every batch holds scenes that differ in one thing.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from training.drawing import draw
from training.family import Order
from training.first_layer import places, whiten
from training.grammar import Caption, is_true
from training.hub import save_model, write_json
from training.loop import Run, train
from training.parts import tokenizer as tokenizer_part
from training.scene import BACKGROUNDS, COLOURS, SHAPES, Scene
from training.tensors import patch_labels, pixels_tensor
from training.variations import train_caption, vary
from training.world import World

IMAGE_PX, PATCH_PX = 64, 8
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
GROUPS, GROUP = 32, 4  # scenes in a batch: 32 unlike ones, each with 3 variations
DENSE_WEIGHT = 1.0
STEPS, EASY_STEPS = 1750, 400  # the easy ones show one thing only
RECIPE = (
    f"{STEPS} batches of {GROUPS} scenes with {GROUP - 1} variations each, the first {EASY_STEPS} of one thing only; "
    "first layer whitened on the world's patches; symmetric contrastive loss, in which other true captions are no "
    "wrong answers; linear heads that read colour and shape from each patch (dropped afterwards); noise on half of "
    "the pictures; Muon and AdamW, 3e-3, falling to 0 over the last 30 %"
)


def train_part(order: Order) -> Run:
    task = ClipTask(order.seed)
    run = train(task, order.run_folder, STEPS, resume=order.resume)
    task.export(order.weights_folder)
    return run


def config(tokenizer: CLIPTokenizer) -> CLIPConfig:
    shared = {"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 4}
    shared |= {"projection_dim": 128, "hidden_act": "gelu"}
    text = shared | {
        "num_hidden_layers": 4,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": tokenizer_part.MAX_LENGTH,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = shared | {
        "num_hidden_layers": 6,
        "image_size": IMAGE_PX,
        "patch_size": PATCH_PX,
    }
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=128)


class ClipWithHeads(nn.Module):
    """CLIP and the heads that only training uses."""

    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.model = model
        width = model.config.vision_config.hidden_size
        self.patch_colour = nn.Linear(width, len(COLOURS) + 1)
        self.patch_shape = nn.Linear(width, len(SHAPES))
        self.background = nn.Linear(width, len(BACKGROUNDS))


@dataclass(frozen=True)
class Batch:
    pixels: Tensor  # (rows, 3, 64, 64), normalised
    tokens: Tensor  # (rows, length)
    attention: Tensor  # (rows, length)
    labels: Tensor  # (rows, 2, 8, 8): colour and shape of each patch
    backgrounds: Tensor  # (rows,)
    also_true: Tensor  # (rows, rows): the caption of column j is true of picture i as well


class ClipTask:
    name = "clip"
    learning_rate = matrix_rate = 3e-3

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.seed = seed
        self.tokenizer = tokenizer_part.make()
        # Fused attention runs backward slowly in bfloat16 on CPUs: three times the plain kind.
        plain = CLIPModel._from_config(config(self.tokenizer), attn_implementation="eager")
        _prepare(plain, seed)
        self.network = ClipWithHeads(plain)

    def batch(self, step: int) -> Batch:
        rng = random.Random(f"clip {self.seed} {step}")
        counts = (1,) if step < EASY_STEPS else (1, 2, 2, 3)
        world = World("train", self.seed, counts)
        told = [pair for n in range(GROUPS) for pair in _group(world, step * GROUPS + n, rng)]
        scenes, captions = [scene for scene, _ in told], [caption for _, caption in told]
        drawings = [draw(scene) for scene in scenes]
        encoded = self.tokenizer([c.text for c in captions], padding=True, return_tensors="pt")
        device = self.network.patch_shape.weight.device
        labels = [patch_labels(s, d, 2 * PATCH_PX) for s, d in zip(scenes, drawings, strict=True)]
        return Batch(
            normalised(spoilt(shrunk(pixels_tensor(drawings).to(device)))),
            encoded.input_ids.to(device),
            encoded.attention_mask.to(device),
            torch.from_numpy(np.stack(labels)).to(device),
            torch.tensor([BACKGROUNDS.index(scene.background) for scene in scenes], device=device),
            torch.from_numpy(_also_true(scenes, captions)).to(device),
        )

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        model = self.network.model
        seen = model.vision_model(pixel_values=batch.pixels)
        read = model.text_model(input_ids=batch.tokens, attention_mask=batch.attention)
        images = functional.normalize(model.visual_projection(seen.pooler_output).float(), dim=-1)
        texts = functional.normalize(model.text_projection(read.pooler_output).float(), dim=-1)
        contrast = contrastive_loss(images, texts, model.logit_scale.exp(), batch.also_true)
        dense, shape_right = self._dense_loss(seen.last_hidden_state, seen.pooler_output, batch)
        parts = {"contrast": contrast.item(), "dense": dense.item(), "patch shape": shape_right}
        return contrast + DENSE_WEIGHT * dense, parts

    def _dense_loss(self, hidden: Tensor, pooled: Tensor, batch: Batch) -> tuple[Tensor, float]:
        heads, patches = self.network, hidden[:, 1:]  # without the class token
        colours, shapes = batch.labels.flatten(2).unbind(1)  # each (rows, patches)
        colour = functional.cross_entropy(heads.patch_colour(patches).mT.float(), colours)
        on_thing = shapes > 0  # most patches are background, and would drown the shapes
        guesses, truth = heads.patch_shape(patches)[on_thing].float(), shapes[on_thing] - 1
        shape = functional.cross_entropy(guesses, truth)
        background = functional.cross_entropy(heads.background(pooled).float(), batch.backgrounds)
        right = (guesses.argmax(dim=1) == truth).float().mean().item()
        return colour + shape + 0.2 * background, right

    def export(self, folder: Path) -> None:
        """The hub's layout, without the training heads."""
        tokenizer_part.build(folder)
        save_model(self.network.model, folder)
        write_json(folder / "preprocessor_config.json", preprocessor())


@torch.no_grad()
def _prepare(model: CLIPModel, seed: int) -> None:
    """Patches whitened, and told apart by place from the first step."""
    embeddings = model.vision_model.embeddings
    samples = World("train", seed + 300).samples(256)
    pictures = normalised(shrunk(pixels_tensor([sample.drawing for sample in samples])))
    mean = whiten(embeddings.patch_embedding, pictures)
    width = embeddings.embed_dim
    embeddings.position_embedding.weight[1:] = 0.5 * places(IMAGE_PX // PATCH_PX, width) - mean
    nn.init.normal_(embeddings.class_embedding, std=0.5)


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, also_true: Tensor) -> Tensor:
    """Cross entropy both ways; another picture's caption that is true, too, is no wrong answer."""
    logits = scale.clamp(max=100) * images @ texts.T
    logits = logits.masked_fill(also_true, -1e4)
    target = torch.arange(len(logits), device=logits.device)
    both = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
    return both / 2


def shrunk(pixels: Tensor) -> Tensor:
    """0 to 1 of any size to CLIP's 64 px, as the preprocessor_config says."""
    size = (IMAGE_PX, IMAGE_PX)
    small = functional.interpolate(pixels, size=size, mode="bicubic", antialias=True)
    return small.clamp(0, 1)


def normalised(pixels: Tensor) -> Tensor:
    mean, deviation = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return (pixels - mean) / deviation


def spoilt(pixels: Tensor) -> Tensor:
    """Some noise on every second picture: CLIP must read generated ones as well."""
    spoilt_ones = pixels[::2]
    strength = torch.rand(len(spoilt_ones), 1, 1, 1, device=pixels.device) * 0.06
    noise = strength * torch.randn_like(spoilt_ones)
    return torch.stack([(spoilt_ones + noise).clamp(0, 1), pixels[1::2]], 1).flatten(0, 1)


def preprocessor() -> dict:
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": IMAGE_PX},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": IMAGE_PX, "width": IMAGE_PX},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(DEVIATION),
    }


def _group(world: World, index: int, rng: random.Random) -> list[tuple[Scene, Caption]]:
    scene, caption = world.told_scene(index)
    varied = [vary(scene, rng) for _ in range(GROUP - 1)]
    return [(scene, caption), *((other, train_caption(other, rng)) for other in varied)]


def _also_true(scenes: list[Scene], captions: list[Caption]) -> np.ndarray:
    """Most pairs are told apart by what they name, so few need the full question."""
    shown = [sorted(thing.pair for thing in scene.things) for scene in scenes]
    named = [sorted((m.colour, m.shape) for m in caption.mentions) for caption in captions]
    table = np.zeros((len(scenes), len(captions)), dtype=bool)
    for row, scene in enumerate(scenes):
        for column, caption in enumerate(captions):
            if row != column and shown[row] == named[column]:
                table[row, column] = is_true(caption, scene)
    return table
