"""A picture's random numbers, and the walk from one seed to another."""

import numpy as np
import pytest
import torch

from modelcore.diffusion.noise import SEEDS, NoiseSource, walk

SHAPE = (4, 16, 16)


@pytest.mark.parametrize("seed", [0, 7, 2**32, SEEDS - 1])
def test_draws_are_torchs_own_in_order(seed: int) -> None:
    noise, generator = NoiseSource(seed), torch.Generator("cpu").manual_seed(seed)
    for _ in range(2):
        theirs = torch.randn((1, *SHAPE), generator=generator).numpy()[0]
        np.testing.assert_array_equal(noise.draw(SHAPE), theirs)


def test_a_walk_begins_and_ends_at_the_two_noises() -> None:
    one, other = NoiseSource(1).draw(SHAPE), NoiseSource(2).draw(SHAPE)
    np.testing.assert_allclose(walk(one, other, 0.0), one, atol=1e-6)
    np.testing.assert_allclose(walk(one, other, 1.0), other, atol=1e-6)


def test_a_walk_between_right_angles_follows_sine_and_cosine() -> None:
    one, other = np.eye(2, dtype=np.float32)
    share = np.pi / 6 / (np.pi / 2)
    np.testing.assert_allclose(walk(one, other, share), [np.cos(np.pi / 6), np.sin(np.pi / 6)], atol=1e-6)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_noise_is_as_loud_on_the_way_as_at_its_ends(share: float) -> None:
    one, other = NoiseSource(1).draw(SHAPE), NoiseSource(2).draw(SHAPE)
    assert walk(one, other, share).std() == pytest.approx(1.0, abs=0.05)


def test_a_walk_to_the_same_noise_stays() -> None:
    noise = NoiseSource(1).draw(SHAPE)
    np.testing.assert_array_equal(walk(noise, noise, 0.5), noise)
