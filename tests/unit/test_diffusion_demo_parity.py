"""The demo family, from words to decoded pictures, against diffusers' pipelines loaded from the very same folder.

The bar is PSNR 40 dB; what differs is the rounding of float32, so the tests ask for 60.
"""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from export.diffusion.pipeline import write_tokenizer
from modelcore.diffusion.conditioning import Conditioner, TextFacts
from modelcore.diffusion.networks import Networks
from modelcore.diffusion.noise import NoiseSource
from modelcore.diffusion.scheduler_names import scheduler_names
from modelcore.diffusion.schedulers import Schedulers
from modelcore.diffusion.tasks import make_rows
from tests.diffusion_pipelines import REFERENCE_SCHEDULERS, psnr
from tests.diffusion_rows import painted, picture_request
from tests.torch_networks import torch_latent_facts, torch_networks
from training.world import World

FAMILY = Path(__file__).parents[2] / "families" / "demo"
SAME_DB = 60.0
SEED = 3
SIZE_PX = 128
BOX = (slice(32, 96), slice(24, 72))  # whole latent cells
KEPT_CELLS = np.ones((16, 16), dtype=bool)
KEPT_CELLS[4:12, 3:9] = False

pytestmark = pytest.mark.skipif(not (FAMILY / "unet").is_dir(), reason="families/demo has no UNet yet")
every_scheduler = pytest.mark.parametrize("scheduler", scheduler_names("sd"))


@dataclass(frozen=True)
class Demo:
    networks: Networks
    schedulers: Schedulers
    conditioner: Conditioner
    pipeline: Any  # StableDiffusionPipeline

    def ours(self, **changes: Any) -> NDArray[np.float32]:
        """(height, width, 3), 0 to 1."""
        return self.decoded(self.latents(**changes))

    def latents(self, **changes: Any) -> NDArray[np.float32]:
        request = picture_request(width=SIZE_PX, height=SIZE_PX, seed=SEED, **changes)
        pair = self.conditioner.pair(request)
        (row,) = make_rows(
            request,
            pair.positive,
            pair.negative,
            networks=self.networks,
            schedulers=self.schedulers,
            facts=torch_latent_facts(FAMILY, "sd"),
        )
        return painted(row, self.networks)

    def theirs(self, scheduler: str, task: str = "", **arguments: Any) -> NDArray[np.float32]:
        name, settings = REFERENCE_SCHEDULERS[scheduler]
        pipeline = getattr(diffusers, f"StableDiffusion{task}Pipeline")(
            **self.pipeline.components, requires_safety_checker=False
        )
        pipeline.scheduler = getattr(diffusers, name).from_config(self.pipeline.scheduler.config, **settings)
        pipeline.set_progress_bar_config(disable=True)
        generator = torch.Generator("cpu").manual_seed(SEED)
        answer = pipeline("a red circle", generator=generator, output_type="np", guidance_scale=4.0, **arguments)
        picture: NDArray[np.float32] = answer.images[0]
        return picture

    def decoded(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        picture: NDArray[np.float32] = np.clip(self.networks.decode_latents(latents[None])[0] / 2 + 0.5, 0, 1)
        return picture.transpose(1, 2, 0)

    def encoded_scene(self) -> NDArray[np.float32]:
        """The sample of its latents that the seed draws first."""
        mean, deviation = self.networks.encode_picture(self.scene.transpose(2, 0, 1)[None] / np.float32(255) * 2 - 1)
        return mean[0] + deviation[0] * NoiseSource(SEED).draw(mean[0].shape)

    @cached_property
    def scene(self) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = World("tune", 1).sample(0).drawing.pixels
        return pixels


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    networks = torch_networks(FAMILY, "sd")
    tokenizer = tmp_path_factory.mktemp("demo") / "tokenizer"
    write_tokenizer(FAMILY / "tokenizer", tokenizer)
    config = json.loads((FAMILY / "scheduler" / "scheduler_config.json").read_text())
    yield Demo(
        networks,
        Schedulers(config, "sd"),
        Conditioner(TextFacts("sd"), [tokenizer], networks.encode_text),
        _pipeline(),
    )
    torch.set_num_threads(threads)


def _pipeline() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it mends an old scheduler's configuration, aloud
        return diffusers.StableDiffusionPipeline.from_pretrained(FAMILY, low_cpu_mem_usage=False, dtype=torch.float32)


@every_scheduler
def test_a_picture_of_words_is_diffusers_own(demo: Demo, scheduler: str) -> None:
    theirs = demo.theirs(scheduler, num_inference_steps=5, width=SIZE_PX, height=SIZE_PX)
    assert psnr(demo.ours(scheduler=scheduler, steps=5), theirs) > SAME_DB


@every_scheduler
def test_a_picture_of_a_picture_is_diffusers_own(demo: Demo, scheduler: str) -> None:
    theirs = demo.theirs(scheduler, "Img2Img", num_inference_steps=6, strength=0.6, image=Image.fromarray(demo.scene))
    ours = demo.ours(scheduler=scheduler, steps=6, strength=0.6, init_image=demo.scene)
    assert psnr(ours, theirs) > SAME_DB


@every_scheduler
def test_an_inpainted_picture_is_diffusers_own(demo: Demo, scheduler: str) -> None:
    mask = _mask()
    theirs = demo.theirs(
        scheduler,
        "Inpaint",
        num_inference_steps=5,
        strength=1.0,
        width=SIZE_PX,
        height=SIZE_PX,
        image=Image.fromarray(demo.scene),
        mask_image=Image.fromarray((mask * 255).astype(np.uint8)),
    )
    ours = demo.ours(scheduler=scheduler, steps=5, init_image=demo.scene, mask_image=mask)
    assert psnr(ours, theirs) > SAME_DB


@every_scheduler
def test_inpainting_leaves_every_latent_beside_the_mask_as_the_autoencoder_made_it(demo: Demo, scheduler: str) -> None:
    latents = demo.latents(scheduler=scheduler, steps=4, init_image=demo.scene, mask_image=_mask())
    assert np.array_equal(latents[:, KEPT_CELLS], demo.encoded_scene()[:, KEPT_CELLS])


def test_inpainting_leaves_the_rest_as_well_as_the_decoder_can(demo: Demo) -> None:
    """Its group norms look at the whole picture, so what is in the box shows, a little, everywhere."""
    original, noisy_box = demo.scene / np.float32(255), demo.encoded_scene()
    noisy_box[:, ~KEPT_CELLS] = NoiseSource(1).draw(noisy_box.shape)[:, ~KEPT_CELLS]
    kept = _mask() == 0
    ours = demo.ours(scheduler="ddim", steps=4, init_image=demo.scene, mask_image=_mask())
    assert psnr(ours[kept], original[kept]) > psnr(demo.decoded(noisy_box)[kept], original[kept]) - 3


def _mask() -> NDArray[np.float32]:
    mask = np.zeros((SIZE_PX, SIZE_PX), dtype=np.float32)
    mask[BOX] = 1.0
    return mask
