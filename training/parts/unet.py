"""Train the family's UNet with its text encoder: what a caption says, painted into noise on the VAE's latents.

Shape begins late (docs/training.md). What makes it begin early: a text encoder from CLIP, which tells shapes apart
already; its text also added to the time embedding; heads that read each cell's colour and shape out of the noise, in
training only; and squares around one thing before whole pictures.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPModel, CLIPTextModel

from training.average import Average
from training.family import Order
from training.hub import save_model, write_json
from training.latents import CELLS, Latents, latents_of
from training.loop import Run, train
from training.parts import tokenizer as tokenizer_part
from training.scene import COLOURS, SHAPES, Scene
from training.variations import train_caption
from training.world import World

STEPS = 8400
POOLS: dict[int, int] = {1: 20_000, 2: 30_000}  # scenes kept, by how many things they show


class Stage(NamedTuple):
    until: int  # step
    counts: tuple[int, ...]  # how many things, drawn evenly from these
    side: int  # cells of the square that is learnt
    batch: int
    middle: float  # timestep around which most are drawn


# A square around one thing costs a quarter of a picture, and teaches the same shapes. How many things there are and
# where is decided at strong noise; a second thing that nobody asked for, and a rough outline, at middle noise.
STAGES = (
    Stage(320, (1,), CELLS // 2, 128, 520.0),
    Stage(1120, (1, 1, 2, 2, 2), CELLS, 32, 520.0),
    Stage(2300, (1, 1, 2, 2, 2), CELLS, 48, 620.0),
    Stage(3200, (1, 2, 2), CELLS, 48, 650.0),
    Stage(4500, (1, 2, 2), CELLS, 48, 400.0),
    Stage(STEPS, (1, 2, 2), CELLS, 48, 500.0),
)
NO_CAPTION = 0.1  # the share of samples without one, for guidance
DENSE_WEIGHT = 0.1
THING_WEIGHT = 2.0  # added to the weight of 1 that every cell has
AVERAGE_DECAY = 0.998
TRAINED_TIMESTEPS = 1000
TIMESTEP_SPREAD, EVEN_SHARE = 180.0, 0.3
_MIDDLES = ", ".join(f"{stage.middle:.0f} until step {stage.until}" for stage in STAGES[1:])
RECIPE = (
    f"{STAGES[0].until} batches of {STAGES[0].batch} squares of {CELLS // 2} x {CELLS // 2} latents around one thing, "
    f"then {STAGES[1].until - STAGES[0].until} of {STAGES[1].batch} and {STEPS - STAGES[1].until} of "
    f"{STAGES[2].batch} whole pictures of one or two; latents of {POOLS[1]} and {POOLS[2]} scenes, the words new each "
    f"time, none in {NO_CAPTION:.0%}; v-prediction, things and what is next to them weighted {1 + THING_WEIGHT:.0f} "
    f"times, timesteps mostly around {_MIDDLES}; text encoder "
    "begun as CLIP's and trained along, its pooled text added to the time embedding; a linear head that reads thing, "
    "colour and shape from each cell (dropped afterwards); AdamW 1e-3, Muon 2e-3, falling to 0 over the last 30 %; "
    f"weights averaged over about {1 / (1 - AVERAGE_DECAY):.0f} steps"
)


def train_part(order: Order) -> Run:
    family = order.weights_folder.parent
    task = UnetTask(order.seed, family, order.run_folder)
    run = train(task, order.run_folder, STEPS, resume=order.resume)
    task.export(family)
    return run


def make_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=CELLS,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 128, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=128,
        attention_head_dim=4,  # heads, by diffusers' own misnomer
        norm_num_groups=16,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


def scheduler() -> DDIMScheduler:
    """Betas that end in nearly pure noise, so that no scheduler needs a zero signal at its last timestep."""
    return DDIMScheduler(
        num_train_timesteps=TRAINED_TIMESTEPS,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # plays no part in trailing timesteps, but the pipeline insists
    )


class Painter(nn.Module):
    """What is exported: the UNet and its text encoder."""

    def __init__(self, clip_folder: Path) -> None:
        super().__init__()
        clip = CLIPModel.from_pretrained(clip_folder, dtype=torch.float32, attn_implementation="eager")
        self.text: CLIPTextModel = clip.text_model
        self.unet = make_unet()
        # Fused attention runs backward slowly in bfloat16 on CPUs.
        self.unet.set_attn_processor(AttnProcessor())

    def forward(self, noisy: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        read = self.text(input_ids=tokens).last_hidden_state
        return self.unet(noisy, timesteps, read).sample


class PainterWithHeads(nn.Module):
    """The painter, its average, and the heads that only training uses."""

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self.painter = painter
        self.average = Average(painter, AVERAGE_DECAY)
        self.cells = nn.Conv2d(128, 1 + len(COLOURS) + len(SHAPES), 1)
        self._seen: list[Tensor] = []
        painter.unet.up_blocks[1].register_forward_hook(lambda *call: self._seen.append(call[-1]))

    def forward(self, noisy: Tensor, timesteps: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The prediction, and for each cell whether it shows a thing, of which colour, of which shape."""
        answer = self.painter(noisy, timesteps, tokens)
        return answer, self.cells(self._seen.pop())


@dataclass(frozen=True)
class Batch:
    step: int
    latents: Tensor  # (rows, 4, 16, 16)
    labels: Tensor  # (rows, 2, 16, 16)
    tokens: Tensor  # (rows, 32)


class UnetTask:
    name = "unet"
    learning_rate, matrix_rate = 1e-3, 2e-3

    def __init__(self, seed: int, family: Path, run_folder: Path) -> None:
        torch.manual_seed(seed)
        self.seed, self.family, self.run_folder = seed, family, run_folder
        self.tokenizer = tokenizer_part.make()
        self.network = PainterWithHeads(Painter(family / "clip"))
        self.kept = scheduler().alphas_cumprod  # of the signal's power, by timestep
        self.pools: dict[int, Latents] = {}

    def batch(self, step: int) -> Batch:
        rng = random.Random(f"unet {self.seed} {step}")
        stage = stage_at(step)
        chosen = [self._choose(stage, rng) for _ in range(stage.batch)]
        captions = [self._caption(scene, rng) for scene, _, _ in chosen]
        device = self.network.cells.weight.device
        return Batch(
            step,
            torch.stack([values.float() for _, values, _ in chosen]).to(device),
            torch.stack([labels for _, _, labels in chosen]).long().to(device),
            self._tokens(captions).to(device),
        )

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        self.network.average.follow(self.network.painter, batch.step)  # of the weights that the last step left
        timesteps = random_timesteps(len(batch.tokens), stage_at(batch.step).middle).to(batch.tokens.device)
        noise = torch.randn_like(batch.latents)
        noisy, wanted = noised(batch.latents, noise, self.kept.to(noise.device)[timesteps])
        answer, cells = self.network(noisy, timesteps, batch.tokens)
        error = (answer.float() - wanted).square()
        painted = (error * weights_of_cells(batch.labels)).mean()
        dense, shape_right = dense_loss(cells.float(), batch.labels)
        parts = {"error": error.mean().item(), "dense": dense.item(), "cell shape": shape_right}
        return painted + DENSE_WEIGHT * dense, parts

    def export(self, family: Path) -> None:
        """The averaged weights, in the hub's layout of a whole StableDiffusionPipeline."""
        painter = self.network.average.network
        painter.unet.set_attn_processor(AttnProcessor2_0())
        save_model(painter.unet, family / "unet")
        save_model(painter.text, family / "text_encoder")
        painter.unet.set_attn_processor(AttnProcessor())
        scheduler().save_pretrained(family / "scheduler")
        write_json(family / "model_index.json", model_index())

    def _choose(self, stage: Stage, rng: random.Random) -> tuple[Scene, Tensor, Tensor]:
        """A scene, its latents and its labels, or a square of them around the thing."""
        pool = self._pool(rng.choice(stage.counts))
        index = rng.randrange(len(pool))
        values, labels = pool.values[index], pool.labels[index]
        if stage.side < CELLS:
            here = square_around(labels[0] > 0, stage.side, rng)
            values, labels = values[:, *here], labels[:, *here]
        return pool.scenes[index], values, labels

    def _pool(self, count: int) -> Latents:
        if count not in self.pools:
            world = World("train", self.seed + 700 + count, (count,))
            cache = self.run_folder / f"latents-{count}.pt"
            self.pools[count] = latents_of(world, POOLS[count], self.family / "vae", cache)
        return self.pools[count]

    def _caption(self, scene: Scene, rng: random.Random) -> str:
        return "" if rng.random() < NO_CAPTION else train_caption(scene, rng).text

    def _tokens(self, captions: list[str]) -> Tensor:
        """Padded to the full length, as the pipeline does."""
        encoded = self.tokenizer(
            captions, padding="max_length", max_length=tokenizer_part.MAX_LENGTH, return_tensors="pt"
        )
        return encoded.input_ids


def square_around(is_thing: Tensor, side: int, rng: random.Random) -> tuple[slice, slice]:
    """A random square of so many cells that holds the thing."""
    return _span(is_thing.any(dim=1), side, rng), _span(is_thing.any(dim=0), side, rng)


def _span(is_thing: Tensor, side: int, rng: random.Random) -> slice:
    places = is_thing.nonzero().flatten().tolist()
    last = len(is_thing) - side
    low, high = max(0, min(places[-1] - side + 1, last)), min(last, places[0])
    start = rng.randint(min(low, high), high)
    return slice(start, start + side)


def noised(latents: Tensor, noise: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """The mixture that the UNet sees, and the velocity that it should say of it."""
    signal, spoilt = (share.sqrt().view(-1, 1, 1, 1) for share in (kept, 1 - kept))
    return signal * latents + spoilt * noise, signal * noise - spoilt * latents


def stage_at(step: int) -> Stage:
    return next(stage for stage in STAGES if step < stage.until)


def random_timesteps(count: int, middle: float) -> Tensor:
    """Mostly around the middle one, some of any."""
    near = middle + TIMESTEP_SPREAD * torch.randn(count)
    even = torch.rand(count) * TRAINED_TIMESTEPS
    chosen = torch.where(torch.rand(count) < EVEN_SHARE, even, near)
    return chosen.clamp(0, TRAINED_TIMESTEPS - 1).long()


def weights_of_cells(labels: Tensor) -> Tensor:
    """More for things and the cells around them, where the outline is: (rows, 1, 16, 16)."""
    anything = (labels[:, :1] > 0).float()
    return 1 + THING_WEIGHT * functional.max_pool2d(anything, 3, stride=1, padding=1)


def dense_loss(cells: Tensor, labels: Tensor) -> tuple[Tensor, float]:
    """Cross entropy of thing or none in every cell, of colour and shape where a thing is."""
    thing, colours, shapes = cells.movedim(1, -1).split([1, len(COLOURS), len(SHAPES)], dim=-1)
    is_thing = labels[:, 0] > 0
    colour_truth, shape_truth = labels[:, 0][is_thing] - 1, labels[:, 1][is_thing] - 1
    guesses = shapes[is_thing]
    total = (
        functional.binary_cross_entropy_with_logits(thing[..., 0], is_thing.float())
        + functional.cross_entropy(colours[is_thing], colour_truth)
        + functional.cross_entropy(guesses, shape_truth)
    )
    return total, (guesses.argmax(dim=1) == shape_truth).float().mean().item()


def model_index() -> dict:
    """What `StableDiffusionPipeline.from_pretrained` reads."""
    return {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
