"""Train the family's BLIP-2: a picture to words, and to a vector among the words of its CLIP.

Its eyes begin as the CLIP's picture tower, whose layers have the same form; so what is left to learn is to look
(the Q-Former) and to speak (OPT). A linear head, kept beside the network, places what the queries saw in CLIP's space,
so that pictures are found by words and by other pictures alike.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    CLIPModel,
    CLIPTokenizer,
    CLIPVisionModel,
    OPTConfig,
)

from training.drawing import draw
from training.family import Order
from training.hub import save_model, write_json
from training.loop import Run, train
from training.parts import clip as clip_part
from training.parts import tokenizer as tokenizer_part
from training.scene import CANVAS_PX, Scene
from training.telling import in_order, tell
from training.tensors import pixels_tensor
from training.variations import train_caption
from training.world import World

WIDTH, QUERIES = 128, 16
MOST_THINGS = 3
EMBEDDING_FILE = "embedding.safetensors"  # the head that BLIP-2's own classes have no place for
EMBEDDING_WEIGHT = 0.5
PLACES_WEIGHT = 3.0
STEPS, EASY_STEPS, BATCH = 1800, 150, 48  # the easy ones show one thing only
RECIPE = (
    f"{STEPS} batches of {BATCH} scenes, the first {EASY_STEPS} of one thing only; the picture tower begins as the "
    "CLIP's; next-word loss on captions of one wording; a linear head on the mean query that reads where things are "
    "(dropped afterwards); another, kept, contrasted with the frozen CLIP's embedding of another true caption; noise "
    "on half of the pictures; Muon 2e-3 and AdamW 1e-3, falling to 0 over the last 30 %"
)


def train_part(order: Order) -> Run:
    task = CaptionerTask(order.seed, order.weights_folder.parent / "clip")
    run = train(task, order.run_folder, STEPS, resume=order.resume)
    task.export(order.weights_folder)
    return run


def config(tokenizer: CLIPTokenizer) -> Blip2Config:
    shared = {"hidden_size": WIDTH, "num_attention_heads": 4, "initializer_range": 0.02}
    vision = Blip2VisionConfig(
        **shared,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=6,
        image_size=clip_part.IMAGE_PX,
        patch_size=clip_part.PATCH_PX,
        layer_norm_eps=1e-5,
    )
    queries = Blip2QFormerConfig(
        **shared,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=3,
        cross_attention_frequency=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        vocab_size=1,  # it reads no words
    )
    words = OPTConfig(
        vocab_size=len(tokenizer) + 1,  # and the place of a picture's queries
        hidden_size=WIDTH,
        word_embed_proj_dim=WIDTH,
        ffn_dim=4 * WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=QUERIES + tokenizer_part.MAX_LENGTH,
        dropout=0.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Blip2Config(
        vision_config=vision,
        qformer_config=queries,
        text_config=words,
        num_query_tokens=QUERIES,
        image_token_index=len(tokenizer),
    )


class CaptionerWithHead(nn.Module):
    def __init__(self, model: Blip2ForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.embedding = nn.Linear(WIDTH, WIDTH, bias=False)
        self.places = nn.Linear(WIDTH, 2 * MOST_THINGS)  # training only


@dataclass(frozen=True)
class Batch:
    pixels: Tensor  # (rows, 3, 64, 64), normalised
    tokens: Tensor  # (rows, queries + length)
    labels: Tensor  # the same, -100 where nothing is to be said
    texts: Tensor  # (rows, width): CLIP's embedding of another caption
    places: Tensor  # (rows, 2 * things): x and y in the order of telling, -1 to 1; NaN where there is no thing


class CaptionerTask:
    name = "captioner"
    learning_rate, matrix_rate = 1e-3, 2e-3

    def __init__(self, seed: int, clip_folder: Path) -> None:
        torch.manual_seed(seed)
        self.seed = seed
        self.tokenizer = tokenizer_part.make()
        self.clip = CLIPModel.from_pretrained(clip_folder, dtype=torch.float32).eval().requires_grad_(False)
        model = Blip2ForConditionalGeneration._from_config(config(self.tokenizer), attn_implementation="eager")
        nn.init.normal_(model.query_tokens, std=0.5)
        lend_eyes(self.clip.vision_model, model.vision_model)
        self.network = CaptionerWithHead(model)

    def batch(self, step: int) -> Batch:
        rng = random.Random(f"captioner {self.seed} {step}")
        world = World("train", self.seed + 700, (1,) if step < EASY_STEPS else (1, 2, 2, 3))
        scenes = [world.told_scene(step * BATCH + row)[0] for row in range(BATCH)]
        device = self.network.embedding.weight.device
        pixels = pixels_tensor([draw(scene) for scene in scenes]).to(device)
        tokens, labels = self._words([tell(scene).text for scene in scenes])
        return Batch(
            clip_part.normalised(clip_part.spoilt(clip_part.shrunk(pixels))),
            tokens.to(device),
            labels.to(device),
            self._embedded([train_caption(scene, rng).text for scene in scenes], device),
            torch.tensor([places(scene) for scene in scenes], device=device),
        )

    def _words(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        said = self.tokenizer(texts, padding=True, return_tensors="pt")
        places = torch.full((len(texts), QUERIES), self.network.model.config.image_token_index)
        tokens = torch.cat([places, said.input_ids], dim=1)
        nothing = torch.cat([torch.zeros_like(places), said.attention_mask], dim=1) == 0
        return tokens, tokens.masked_fill(nothing, -100)

    @torch.no_grad()
    def _embedded(self, texts: list[str], device: torch.device) -> Tensor:
        tokens = self.tokenizer(texts, padding=True, return_tensors="pt").to(device)
        pooled = self.clip.to(device).text_model(**tokens).pooler_output
        return functional.normalize(self.clip.text_projection(pooled).float(), dim=-1)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        answer = self.network.model(pixel_values=batch.pixels, input_ids=batch.tokens, labels=batch.labels)
        seen = answer.qformer_outputs.last_hidden_state.mean(dim=1)
        vectors = functional.normalize(self.network.embedding(seen).float(), dim=-1)
        logits = 20 * vectors @ batch.texts.T
        contrast = functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
        distance = self.network.places(seen).float() - batch.places
        misplaced = distance[batch.places.isfinite()].square().mean()
        parts = {"words": answer.loss.item(), "contrast": contrast.item(), "misplaced": misplaced.item()}
        return answer.loss + EMBEDDING_WEIGHT * contrast + PLACES_WEIGHT * misplaced, parts

    def export(self, folder: Path) -> None:
        """The hub's layout, and the head beside it."""
        tokenizer_part.build(folder)
        save_model(self.network.model, folder)
        save_file({"weight": self.network.embedding.weight.detach().half().cpu()}, folder / EMBEDDING_FILE)
        write_json(folder / "preprocessor_config.json", preprocessor())


def places(scene: Scene) -> list[float]:
    """Without being asked where things are, the queries never learnt to tell above from left (docs/training.md)."""
    known = [2 * value / CANVAS_PX - 1 for thing in in_order(scene) for value in (thing.x, thing.y)]
    return known + [float("nan")] * (2 * MOST_THINGS - len(known))


@torch.no_grad()
def lend_eyes(clip: CLIPVisionModel, blip: nn.Module) -> None:
    """Layer by layer the same arithmetic; only CLIP's first norm has no place, and its scale goes into the patches."""
    source, target = clip.embeddings, blip.embeddings
    gain, shift = clip.pre_layrnorm.weight, clip.pre_layrnorm.bias
    patches = source.patch_embedding.weight.flatten(1)
    typical = (patches.square().sum(dim=1).mean() + source.position_embedding.weight[1:].var()).sqrt()
    target.patch_embedding.weight.copy_(source.patch_embedding.weight * (gain / typical).view(-1, 1, 1, 1))
    nn.init.zeros_(target.patch_embedding.bias)
    target.position_embedding.copy_((source.position_embedding.weight / typical * gain + shift)[None])
    target.class_embedding.copy_((source.class_embedding / typical * gain).view(1, 1, -1))
    for old, new in zip(clip.encoder.layers, blip.encoder.layers, strict=True):
        _lend_layer(old, new)
    blip.post_layernorm.load_state_dict(clip.post_layernorm.state_dict())


def _lend_layer(old: nn.Module, new: nn.Module) -> None:
    new.layer_norm1.load_state_dict(old.layer_norm1.state_dict())
    new.layer_norm2.load_state_dict(old.layer_norm2.state_dict())
    new.mlp.load_state_dict(old.mlp.state_dict())
    heads = (old.self_attn.q_proj, old.self_attn.k_proj, old.self_attn.v_proj)
    new.self_attn.qkv.weight.copy_(torch.cat([head.weight for head in heads]))
    new.self_attn.qkv.bias.copy_(torch.cat([head.bias for head in heads]))
    new.self_attn.projection.load_state_dict(old.self_attn.out_proj.state_dict())


def preprocessor() -> dict:
    return {
        "image_processor_type": "BlipImageProcessor",
        "do_resize": True,
        "size": {"height": clip_part.IMAGE_PX, "width": clip_part.IMAGE_PX},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(clip_part.MEAN),
        "image_std": list(clip_part.DEVIATION),
        "do_convert_rgb": True,
    }
