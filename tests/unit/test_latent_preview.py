"""The small pictures that previews show: each architecture's matrix, a family's own, and how the demo's was fitted."""

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from modelcore.contract import Architecture
from modelcore.diffusion.latent_preview import ENLARGED, LatentPreview
from modelcore.errors import SetupProblem
from modelcore.family import read_diffusion, read_family
from modelcore.preview_colours import PreviewColours
from training import latent_colours

DEMO = Path(__file__).parents[2] / "families" / "demo"
CHANNELS: dict[Architecture, int] = {"sd": 4, "sdxl": 4, "sd3": 16}
FILE = (
    'architecture = "sd"\n'
    '[defaults]\nsteps = 4\nguidance_scale = 7.5\nwidth = 64\nheight = 64\nscheduler = "ddim"\n'
    "[limits]\nwidth = [64, 64]\nheight = [64, 64]\nsteps_max = 9\npictures_max = 1\n"
)


@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_every_architecture_has_a_preview_of_its_channels(architecture: Architecture) -> None:
    pixels = LatentPreview(architecture)(np.zeros((CHANNELS[architecture], 6, 9), dtype=np.float32))
    assert (pixels.shape, pixels.dtype) == ((6 * ENLARGED, 9 * ENLARGED, 3), np.uint8)


def test_a_familys_own_matrix_is_used() -> None:
    red_is_the_first_channel = PreviewColours(((1, 0, 0), (0, 0, 0)), bias=(-1.0, 0.0, 1.0))
    latents = np.stack([np.full((2, 2), 2.0), np.full((2, 2), 9.0)]).astype(np.float32)
    pixels = LatentPreview("sd", red_is_the_first_channel)(latents)
    assert pixels[4, 4].tolist() == [255, 128, 255]


def test_a_family_file_gives_its_matrix(tmp_path: Path) -> None:
    path = tmp_path / "family.toml"
    path.write_text(FILE + "[preview]\nlatent_to_rgb = [[0.5, -0.5, 0], [1, 2, 3]]\nbias = [0.1, 0, -0.1]\n")
    wanted = PreviewColours(((0.5, -0.5, 0.0), (1.0, 2.0, 3.0)), bias=(0.1, 0.0, -0.1))
    assert read_diffusion(path).preview == wanted


@pytest.mark.parametrize(
    "wrong",
    [
        "latent_to_rgb = []",
        "latent_to_rgb = [[1, 2]]",
        'latent_to_rgb = [["red", 0, 0]]',
        "latent_to_rgb = [[nan, 0, 0]]",
        "latent_to_rgb = [[1, 0, 0]]\nbias = 3",
        "latent_to_rgb = [[1, 0, 0]]\ncolour = 3",
    ],
)
def test_a_wrong_matrix_is_refused_with_its_line(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "family.toml"
    path.write_text(FILE + "[preview]\n" + wrong + "\n")
    with pytest.raises(SetupProblem, match=r"family\.toml:\d+: "):
        read_diffusion(path)


def test_the_fit_finds_a_matrix_that_is_there() -> None:
    rng = np.random.default_rng(0)
    latents, matrix = rng.standard_normal((200, 4)), rng.standard_normal((4, 3)).round(4)
    found = latent_colours.fit((latents, latents @ matrix + [0.1, 0.2, 0.3]))
    np.testing.assert_allclose(found.latent_to_rgb, matrix, atol=1e-4)
    np.testing.assert_allclose(found.bias, [0.1, 0.2, 0.3], atol=1e-4)


def test_the_demo_familys_matrix_shows_scenes_it_was_not_fitted_to() -> None:
    """16.4 dB; one colour for everything, and be it the best, reaches 11.8."""
    colours = read_family(DEMO).diffusion.preview
    vae = AutoencoderKL.from_pretrained(DEMO / "vae", low_cpu_mem_usage=False, dtype=torch.float32).eval()
    cells = latent_colours.cells(vae, "held_out", pictures=16)
    one_colour = PreviewColours(((0.0, 0.0, 0.0),) * 4, bias=tuple(cells[1].mean(axis=0)))
    assert latent_colours.decibel(colours, cells) > latent_colours.decibel(one_colour, cells) + 4


def test_the_printed_table_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "family.toml"
    colours = read_family(DEMO).diffusion.preview
    path.write_text(FILE + latent_colours.as_toml(colours))
    assert dataclasses.asdict(read_diffusion(path).preview) == dataclasses.asdict(colours)
