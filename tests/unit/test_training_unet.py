import random
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler
from torch import nn

from training.average import Average
from training.checker import check
from training.latents import CELLS, latents_of, load_vae
from training.loop import train
from training.optimizer import inner_weights
from training.parts import unet
from training.parts.unet import Painter, PainterWithHeads, UnetTask
from training.parts.unet_exam import (
    Painted,
    background_is_right,
    captions,
    load,
    paint,
    paint_all,
    relation_is_right,
    things_are_right,
)
from training.scene import COLOURS, OPPOSITE, SHAPES
from training.tensors import pixels_tensor
from training.world import Sample, World

SHIPPED = Path(__file__).parents[2] / "families" / "demo"


def task_of(run_folder: Path) -> UnetTask:
    return UnetTask(1, SHIPPED, run_folder)


@pytest.fixture
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unet, "POOLS", {1: 6, 2: 6, 3: 6})
    stages = (unet.Stage(2, (1,), CELLS // 2, 4, 520.0), unet.Stage(100, (1, 2), CELLS, 2, 520.0))
    monkeypatch.setattr(unet, "STAGES", stages)


def painted_truly(sample: Sample) -> Painted:
    pixels = sample.drawing.pixels
    return Painted(sample.caption, pixels, check(pixels))


def test_shipped_unet_paints_one_thing_in_the_colour_told() -> None:
    pictures = paint_all(load(SHIPPED), captions(World("tune", 1, (1,)), 8), seed=1)
    colours = [{found.colour for found in picture.answer.things} for picture in pictures]
    right = [{picture.caption.mentions[0].colour} == seen for picture, seen in zip(pictures, colours, strict=True)]
    assert sum(right) >= 6


def test_exam_finds_no_fault_with_pictures_of_true_scenes() -> None:
    pictures = [painted_truly(sample) for sample in World("tune", 1, (1, 2)).samples(40)]
    assert all(things_are_right(picture) for picture in pictures)
    assert all(background_is_right(picture) for picture in pictures if picture.caption.background)
    assert all(relation_is_right(picture) for picture in pictures if picture.caption.relation)


def test_exam_sees_that_a_picture_shows_another_scene() -> None:
    one, other = World("tune", 1, (1,)).samples(2)
    assert one.scene.things[0].pair != other.scene.things[0].pair
    pixels = other.drawing.pixels
    assert not things_are_right(Painted(one.caption, pixels, check(pixels)))


def test_exam_sees_that_two_things_have_changed_places() -> None:
    sample = next(sample for sample in World("tune", 1, (2,)).samples(20) if sample.caption.relation)
    picture = painted_truly(sample)
    assert picture.caption.relation is not None
    turned = OPPOSITE[picture.caption.relation]
    lying = type(picture.caption)(picture.caption.text, picture.caption.mentions, turned)
    assert not relation_is_right(Painted(lying, picture.pixels, picture.answer))


def test_exam_asks_only_captions_that_tell_a_relation_where_it_counts_relations() -> None:
    assert all(caption.relation for caption in captions(World("tune", 1, (2,)), 30, related=True))


def test_what_the_unet_learns_is_the_velocity_of_diffusers() -> None:
    scheduler = unet.scheduler()
    assert isinstance(scheduler, DDIMScheduler)
    latents, noise, timesteps = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8), torch.tensor([0, 500, 999])
    noisy, wanted = unet.noised(latents, noise, scheduler.alphas_cumprod[timesteps])
    torch.testing.assert_close(noisy, scheduler.add_noise(latents, noise, timesteps))
    torch.testing.assert_close(wanted, scheduler.get_velocity(latents, noise, timesteps))


def test_last_timestep_holds_almost_no_signal() -> None:
    assert unet.scheduler().alphas_cumprod[-1].item() < 1e-4


@pytest.mark.parametrize("side", [8, 12])
def test_square_around_a_thing_holds_all_of_it(side: int) -> None:
    rng = random.Random(1)
    for sample in World("train", 1, (1,)).samples(60):
        is_thing = torch.from_numpy(sample.drawing.masks[0]).view(CELLS, 8, CELLS, 8).float().mean(dim=(1, 3)) > 0.25
        here = unet.square_around(is_thing, side, rng)
        assert is_thing[here].shape == (side, side)
        assert is_thing[here].sum() == is_thing.sum()


def test_timesteps_lie_within_the_scheduler_and_mostly_in_the_middle() -> None:
    torch.manual_seed(0)
    timesteps = unet.random_timesteps(4000, 520.0)
    assert timesteps.min() >= 0
    assert timesteps.max() < unet.TRAINED_TIMESTEPS
    assert ((timesteps > 340) & (timesteps < 700)).float().mean() > 0.5


def test_things_and_the_cells_around_them_weigh_more() -> None:
    labels = torch.zeros(1, 2, 5, 5, dtype=torch.long)
    labels[0, 0, 2, 2] = 3
    weights = unet.weights_of_cells(labels)
    assert weights[0, 0, 1:4, 1:4].unique().tolist() == [1 + unet.THING_WEIGHT]
    assert weights.sum().item() == 25 + 9 * unet.THING_WEIGHT


def test_sure_and_right_cells_cost_nothing() -> None:
    labels = torch.zeros(1, 2, 4, 4, dtype=torch.long)
    labels[0, :, 1, 1] = torch.tensor([2, 5])
    cells = torch.zeros(1, 1 + len(COLOURS) + len(SHAPES), 4, 4)
    cells[:, 0] = -40.0
    cells[0, [0, 1 + 1, 1 + len(COLOURS) + 4], 1, 1] = 40.0
    loss, shape_right = unet.dense_loss(cells, labels)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert shape_right == 1


def test_average_moves_by_the_rest_of_its_decay() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = Average(network, decay=0.9)
    before = network.weight.item()
    nn.init.constant_(network.weight, before + 1)
    average.follow(network, step=1000)
    assert average.network.weight.item() == pytest.approx(before + 0.1)


def test_no_optimizer_moves_the_average() -> None:
    network = PainterWithHeads(Painter(SHIPPED / "clip"))
    averaged = {id(weight) for weight in network.average.parameters()}
    assert not averaged & {id(weight) for weight in inner_weights(network)}


def test_kept_latents_are_those_of_the_vae(tmp_path: Path) -> None:
    world, cache = World("train", 3, (1,)), tmp_path / "latents.pt"
    kept = latents_of(world, 3, SHIPPED / "vae", cache)
    again = latents_of(world, 3, SHIPPED / "vae", cache)
    pixels = pixels_tensor([sample.drawing for sample in world.samples(3)]) * 2 - 1
    with torch.inference_mode():
        expected = load_vae(SHIPPED / "vae").encode(pixels).latent_dist.mode()
    torch.testing.assert_close(kept.values.float(), expected, atol=0.1, rtol=0.05)  # bfloat16 where it is fast
    torch.testing.assert_close(again.values, kept.values)
    assert again.scenes == kept.scenes


@pytest.mark.usefixtures("few_scenes")
def test_batch_depends_on_its_number_alone(tmp_path: Path) -> None:
    one, other = task_of(tmp_path), task_of(tmp_path)
    other.batch(3)
    for step in (1, 5):
        torch.testing.assert_close(one.batch(step).latents, other.batch(step).latents)
        torch.testing.assert_close(one.batch(step).tokens, other.batch(step).tokens)


class KilledTask(UnetTask):
    def batch(self, step: int) -> unet.Batch:
        if step == 3:
            raise KeyboardInterrupt
        return super().batch(step)


@pytest.mark.usefixtures("few_scenes")
def test_resumed_run_ends_with_the_average_of_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.loop._CHECKPOINT_EVERY_S", 0.0)
    whole, resumed = task_of(tmp_path), task_of(tmp_path)
    train(whole, tmp_path / "whole", steps=4)
    with pytest.raises(KeyboardInterrupt):
        train(KilledTask(1, SHIPPED, tmp_path), tmp_path / "parts", steps=4)
    train(resumed, tmp_path / "parts", steps=4)
    pairs = zip(whole.network.average.parameters(), resumed.network.average.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.usefixtures("few_scenes")
def test_export_is_a_pipeline_that_diffusers_loads(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    task.export(tmp_path / "family")
    for beside in ("vae", "tokenizer", "family.toml"):
        (tmp_path / "family" / beside).symlink_to(SHIPPED / beside)
    pictures = paint(load(tmp_path / "family"), ["a red circle"], [1])
    assert pictures[0].shape == (128, 128, 3)
