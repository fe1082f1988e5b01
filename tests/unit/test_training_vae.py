from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.parts.vae import BLOCKS, COARSE_BLOCKS, fold_normalisation, grown, make
from training.parts.vae_exam import decibel, measure

SHIPPED = Path(__file__).parents[2] / "families" / "demo" / "vae"


def test_shipped_vae_keeps_what_the_checker_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.parts.vae_exam.CASES", 8)
    decibels, unchanged = measure(SHIPPED, "tune", 1)
    assert decibels.value > 35
    assert unchanged.value == 1


def test_latents_are_an_eighth_of_the_picture_in_four_channels() -> None:
    latent = make(BLOCKS).encode(torch.zeros(1, 3, 128, 128)).latent_dist.mode()
    assert latent.shape == (1, 4, 16, 16)


@torch.inference_mode()
def test_new_outer_level_at_first_only_halves_and_doubles() -> None:
    fine = grown(make(COARSE_BLOCKS)).eval()
    halving, doubling = fine.encoder.down_blocks[0], fine.decoder.up_blocks[-2].upsamplers[0]
    wide, deep = torch.rand(1, BLOCKS[0], 8, 8), torch.rand(1, doubling.channels, 4, 4)
    torch.testing.assert_close(halving(wide), functional.avg_pool2d(wide, 2))
    torch.testing.assert_close(doubling(deep), functional.interpolate(deep, scale_factor=2.0))


def test_inner_levels_are_the_coarse_networks() -> None:
    coarse = make(COARSE_BLOCKS)
    fine = grown(coarse)
    deepest = (fine.encoder.down_blocks[-1], coarse.encoder.down_blocks[-1])
    for new, old in zip(deepest[0].parameters(), deepest[1].parameters(), strict=True):
        torch.testing.assert_close(new, old)


@pytest.mark.parametrize("seed", [1, 2])
def test_folded_normalisation_changes_latents_but_no_reconstruction(seed: int) -> None:
    torch.manual_seed(seed)
    network = make(BLOCKS).eval()
    pixels = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.inference_mode():
        before = network.decode(network.encode(pixels).latent_dist.mode()).sample
    fold_normalisation(network, seed=1, pictures=16)
    with torch.inference_mode():
        after = network.decode(network.encode(pixels).latent_dist.mode()).sample
    torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-3)


def test_an_error_of_one_gray_level_everywhere_is_48_decibel() -> None:
    before = np.full((8, 8, 3), 100, dtype=np.uint8)
    assert decibel(before, before + 1) == pytest.approx(48.13, abs=0.01)
