import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from training.first_layer import places, whiten
from training.grammar import is_true
from training.parts.clip import IMAGE_PX, _also_true, contrastive_loss, shrunk
from training.parts.clip_exam import Judge, zero_shot
from training.scene import UNSEEN_PAIRS
from training.tensors import patch_labels, pixels_tensor
from training.variations import vary
from training.world import World

SHIPPED = Path(__file__).parents[2] / "families" / "demo" / "clip"


def test_shipped_clip_names_most_things(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.parts.clip_exam.CASES", 40)
    right, cases = zero_shot(Judge(SHIPPED), World("tune", 1, (1,)))
    assert right >= 0.9 * cases


def test_another_true_caption_is_no_wrong_answer() -> None:
    alike = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    scale, everything_else = torch.tensor(10.0), ~torch.eye(2, dtype=torch.bool)
    assert contrastive_loss(alike, alike, scale, everything_else).item() == pytest.approx(0, abs=1e-6)


def test_equal_likeness_to_all_captions_costs_the_log_of_their_number() -> None:
    alike = torch.tensor([[1.0, 0.0]] * 4)
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    loss = contrastive_loss(alike, alike, torch.tensor(10.0), nothing)
    assert loss.item() == pytest.approx(np.log(4), abs=1e-5)


def test_table_of_true_captions_agrees_with_the_grammar() -> None:
    told = [World("train", 1).told_scene(index) for index in range(60)]
    scenes, captions = [scene for scene, _ in told], [caption for _, caption in told]
    table = _also_true(scenes, captions)
    for row, column in np.ndindex(table.shape):
        expected = row != column and is_true(captions[column], scenes[row])
        assert table[row, column] == expected


def test_shrinking_agrees_with_pillows_bicubic() -> None:
    drawing = World("train", 1).sample(0).drawing
    ours = shrunk(pixels_tensor([drawing]))[0].permute(1, 2, 0).numpy() * 255
    picture = Image.fromarray(drawing.pixels).resize((IMAGE_PX, IMAGE_PX), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(ours, np.asarray(picture), atol=1.5)


def test_variations_never_show_an_unseen_pair() -> None:
    rng = random.Random(1)
    world = World("train", 1)
    scenes = [vary(world.told_scene(index)[0], rng) for index in range(300)]
    assert not UNSEEN_PAIRS & {thing.pair for scene in scenes for thing in scene.things}


def test_patch_labels_mark_the_patches_that_things_cover() -> None:
    sample = World("train", 1, (2,)).sample(3)
    labels = patch_labels(sample.scene, sample.drawing, patch_px=16, least_cover=0.25)
    cover = sample.drawing.masks.any(axis=0).reshape(8, 16, 8, 16).mean(axis=(1, 3))
    assert (labels[0][cover < 0.25] == 0).all()
    assert (labels[0][cover > 0.5] > 0).all()


def test_whitened_patches_are_uncorrelated() -> None:
    torch.manual_seed(1)
    mixed = torch.randn(4000, 12) @ torch.randn(12, 12)
    pictures = mixed.view(-1, 3, 2, 2)
    layer = nn.Conv2d(3, 12, 2, stride=2, bias=False)
    mean = whiten(layer, pictures)
    embedded = layer(pictures).flatten(1)
    torch.testing.assert_close(embedded.mean(dim=0), mean, atol=1e-3, rtol=1e-3)
    covariance = torch.cov(embedded.T)
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-3


def test_every_place_is_told_apart() -> None:
    likeness = torch.nn.functional.normalize(places(8, 128), dim=1)
    assert ((likeness @ likeness.T) > 0.999).sum() == 64
