"""Train the family's SAM2: which pixels belong to the thing under this click, or inside this box?

The trap is a plateau at which the network outlines all things and ignores the click (docs/training.md). What
leads off it: torch's own initialisation, attention in the decoder that at first looks for its own place,
and scenes with several things.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Sam2Config, Sam2Model

from training.family import Order
from training.hub import save_model, write_json
from training.loop import Run, train
from training.scene import CANVAS_PX
from training.tensors import pixels_tensor
from training.world import Sample, World

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PATCH_STRIDE_PX = 2
MASK_PX = CANVAS_PX // PATCH_STRIDE_PX
HIDDEN = 64
STEPS, BATCH, PROMPTS = 1500, 12, 3
COUNTS = (1, 2, 2, 3, 3)  # four of five scenes show several things
ON_NOTHING = 0.15  # the share of clicks beside every thing
WITH_BOXES = 4  # every so many batches

RECIPE = (
    f"{STEPS} batches of {BATCH} pictures with {PROMPTS} prompts each: clicks, {ON_NOTHING:.0%} of them on no thing, "
    f"and in every {WITH_BOXES}th batch boxes; token 0 and the others in turns; cross entropy, dice, error of the "
    "predicted IoU and of the object score; AdamW 1e-3, Muon 2e-3, falling to 0 over the last 30 %"
)


def train_part(order: Order) -> Run:
    task = Sam2Task(order.seed)
    run = train(task, order.run_folder, STEPS, resume=order.resume)
    export(task.network, order.weights_folder)
    return run


def config() -> Sam2Config:
    widths = [24, 48, 96, 192]
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": widths[0],
        "image_size": [CANVAS_PX, CANVAS_PX],
        "patch_stride": [PATCH_STRIDE_PX, PATCH_STRIDE_PX],
        "window_positional_embedding_background_size": [8, 8],
        "blocks_per_stage": [1, 1, 3, 1],
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 8, 16, 8],
        "global_attention_blocks": [],
    }
    vision = {
        "backbone_config": backbone,
        "backbone_channel_list": widths[::-1],
        "backbone_feature_sizes": [[size, size] for size in (MASK_PX, MASK_PX // 2, MASK_PX // 4)],
        "fpn_hidden_size": HIDDEN,
    }
    prompt = {"hidden_size": HIDDEN, "image_size": CANVAS_PX, "patch_size": 4 * PATCH_STRIDE_PX}
    decoder = {
        "hidden_size": HIDDEN,
        "mlp_dim": 4 * HIDDEN,
        "num_attention_heads": 4,
        "attention_downsample_rate": 1,
        "iou_head_hidden_dim": HIDDEN,
    }
    return Sam2Config(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)


def make() -> Sam2Model:
    # Fused attention runs backward slowly in bfloat16 on CPUs: three times the plain kind.
    model = Sam2Model._from_config(config(), attn_implementation="eager")
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            module.reset_parameters()
    for name, module in model.mask_decoder.named_modules():
        if name.endswith("q_proj"):
            _look_for_own_place(module, model.mask_decoder.get_submodule(name[:-6] + "k_proj"))
    # Clicks and picture must speak of places in one language; transformers draws two.
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(model.shared_image_embedding.positional_embedding)
    return model


@torch.no_grad()
def _look_for_own_place(query: nn.Linear, key: nn.Linear) -> None:
    nn.init.orthogonal_(query.weight)
    key.weight.copy_(query.weight)
    nn.init.zeros_(query.bias)
    nn.init.zeros_(key.bias)


@dataclass(frozen=True)
class Batch:
    pixels: Tensor  # (rows, 3, 128, 128), normalised
    points: Tensor  # (rows, prompts, 1, 2), x and y in pixels
    boxes: Tensor | None  # (rows, prompts, 4), instead of the points
    masks: Tensor  # (rows, prompts, 64, 64): the share of each low-resolution pixel that is covered
    is_thing: Tensor  # (rows, prompts)
    several: bool  # read the three mask tokens, or the single one


class Sam2Task:
    name = "sam2"
    learning_rate, matrix_rate = 1e-3, 2e-3

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.network = make()
        self.world = World("train", seed + 200, COUNTS)

    def batch(self, step: int) -> Batch:
        rng = random.Random(f"sam2 {self.world.seed} {step}")
        samples = list(self.world.samples(BATCH, start=step * BATCH))
        with_boxes = step % WITH_BOXES == 0
        prompts = [
            [_prompt(sample, rng, 0 if with_boxes else ON_NOTHING) for _ in range(PROMPTS)] for sample in samples
        ]
        points = torch.tensor([[[p.point] for p in row] for row in prompts], dtype=torch.float32)
        masks = torch.from_numpy(np.stack([[p.mask for p in row] for row in prompts])).float()
        boxes = torch.tensor([[_box(p.mask) for p in row] for row in prompts]) if with_boxes else None
        device = self.network.device
        return Batch(
            normalised(pixels_tensor([sample.drawing for sample in samples]).to(device)),
            points.to(device),
            None if boxes is None else boxes.float().to(device),
            functional.avg_pool2d(masks, PATCH_STRIDE_PX).to(device),
            masks.amax(dim=(2, 3)).to(device),
            several=step // WITH_BOXES % 2 == 0,
        )

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        prompt = {"input_points": batch.points} if batch.boxes is None else {"input_boxes": batch.boxes}
        seen = self.network(pixel_values=batch.pixels, multimask_output=batch.several, **prompt)
        logits = seen.pred_masks.float()  # (rows, prompts, tokens, 64, 64)
        target = batch.masks[:, :, None].expand_as(logits)
        overlap = _overlap(logits, target > 0.5)
        on_thing = batch.is_thing[:, :, None]
        outline = 5 * functional.binary_cross_entropy_with_logits(logits, target)
        dice = (_dice_loss(logits, target) * on_thing).mean()
        iou = functional.mse_loss(seen.iou_scores.float(), overlap * on_thing)
        score = functional.binary_cross_entropy_with_logits(
            seen.object_score_logits.float().squeeze(-1), batch.is_thing
        )
        met = (overlap * on_thing).sum() / on_thing.expand_as(overlap).sum().clamp(min=1)
        return outline + dice + iou + 0.1 * score, {"IoU": met.item(), "dice": dice.item()}


def export(network: Sam2Model, folder: Path) -> None:
    save_model(network, folder)
    size = {"height": CANVAS_PX, "width": CANVAS_PX}
    preprocessor = {
        "image_processor_type": "Sam2ImageProcessor",
        "processor_class": "Sam2Processor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": size,
        "mask_size": {"height": MASK_PX, "width": MASK_PX},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(DEVIATION),
    }
    write_json(folder / "preprocessor_config.json", preprocessor)


def normalised(pixels: Tensor) -> Tensor:
    mean, deviation = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return (pixels - mean) / deviation


@dataclass(frozen=True)
class _Prompt:
    point: tuple[int, int]
    mask: np.ndarray  # (128, 128), all false for a click on nothing


def _prompt(sample: Sample, rng: random.Random, on_nothing: float) -> _Prompt:
    masks = sample.drawing.masks
    if rng.random() < on_nothing:
        nowhere = np.zeros_like(masks[0])
        return _Prompt(click(~masks.any(axis=0), rng), nowhere)
    mask = masks[rng.randrange(len(masks))]
    return _Prompt(click(mask, rng), mask)


def click(mask: np.ndarray, rng: random.Random) -> tuple[int, int]:
    """Any pixel of the mask: x, y."""
    rows, columns = np.nonzero(mask)
    chosen = rng.randrange(len(rows))
    return int(columns[chosen]), int(rows[chosen])


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def _dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    share = logits.sigmoid()
    both = 2 * (share * target).sum(dim=(-2, -1))
    return 1 - (both + 1) / (share.sum(dim=(-2, -1)) + target.sum(dim=(-2, -1)) + 1)


@torch.no_grad()
def _overlap(logits: Tensor, target: Tensor) -> Tensor:
    seen = logits > 0
    return (seen & target).sum(dim=(-2, -1)) / (seen | target).sum(dim=(-2, -1)).clamp(min=1)
