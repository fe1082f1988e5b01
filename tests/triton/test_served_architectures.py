"""sdxl and sd3, exported and served side by side by the real Triton, paint what diffusers' own pipelines paint.

Small random families: every class is the real one. The bar is PSNR 40 dB, against the range the pictures really have;
ours came through eight bits, so the pipelines' are compared in eight bits too.
"""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image

from embedded.server import TritonServer
from modelcore.images import encode_png
from tests.diffusion_pipelines import psnr
from tests.diffusion_rows import CONFIGS, SIZE_PX, box_mask, random_picture, small_family
from tests.served_family import Stream
from tests.small_tokenizers import write_tokenizers
from tests.triptych_process import PROJECT
from tests.triton.conftest import free_options

READY_TIMEOUT_S = 180.0
SAME_DB = 40.0
ARCHITECTURES = ("sdxl", "sd3")
PROMPT, NEGATIVE, SEED, STEPS, GUIDANCE = "a red cat", "blur", 7, 5, 4.0
_FAMILY = """
name = "{name}"
about = "Random numbers, for tests."
licence = "Apache-2.0"
architecture = "{name}"

[defaults]
steps = 5
guidance_scale = 4.0
width = {size}
height = {size}
scheduler = "{scheduler}"

[limits]
width = [16, 48]
height = [16, 48]
steps_max = 50
pictures_max = 4

[parts.diffusion]
folder = "."
"""
_SCHEDULERS: dict[str, tuple[str, Any]] = {
    "sdxl": ("euler", diffusers.EulerDiscreteScheduler),
    "sd3": ("flow_euler", diffusers.FlowMatchEulerDiscreteScheduler),
}
_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
_PIPELINES = {"sdxl": "StableDiffusionXL{}Pipeline", "sd3": "StableDiffusion3{}Pipeline"}

pytestmark = [pytest.mark.triton, pytest.mark.timeout(1200)]  # 11 exports
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("families")
    for architecture in ARCHITECTURES:
        folder = base / architecture
        small_family(folder, architecture)
        write_tokenizers(folder, architecture)
        name, kind = _SCHEDULERS[architecture]
        kind.from_config(dict(CONFIGS[architecture])).save_pretrained(folder / "scheduler")
        toml = _FAMILY.format(name=architecture, size=SIZE_PX, scheduler=name)
        (folder / "family.toml").write_text(toml)
    return base


@pytest.fixture(scope="module")
def grpc_address(embedded_binary: None, families: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Both families side by side in one Triton."""
    repository = tmp_path_factory.mktemp("repository")
    for architecture in ARCHITECTURES:
        command = [sys.executable, "-m", "export", str(families / architecture), "--to", str(repository)]
        subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    server = TritonServer(free_options(repository), tmp_path_factory.mktemp("log") / "triton.log")
    try:
        server.start()
        server.wait_ready(READY_TIMEOUT_S)
        yield f"127.0.0.1:{server.options.grpc_port}"
    finally:
        server.stop()


@every_architecture
def test_a_picture_of_words_is_diffusers_own(families: Path, grpc_address: str, architecture: str) -> None:
    theirs = painted_by_diffusers(families / architecture, architecture, "", width=SIZE_PX, height=SIZE_PX)
    assert psnr(painted(grpc_address, architecture), theirs) >= SAME_DB


@every_architecture
def test_a_picture_of_a_picture_is_diffusers_own(families: Path, grpc_address: str, architecture: str) -> None:
    original = random_picture()
    size = {"width": SIZE_PX, "height": SIZE_PX} if architecture == "sd3" else {}
    given = {"image": Image.fromarray(original), "strength": 0.6, **size}
    theirs = painted_by_diffusers(families / architecture, architecture, "Img2Img", **given)
    ours = painted(grpc_address, architecture, init_image=encode_png(Image.fromarray(original)), strength=0.6)
    assert psnr(ours, theirs) >= SAME_DB


@every_architecture
def test_an_inpainted_picture_is_diffusers_own(families: Path, grpc_address: str, architecture: str) -> None:
    original, mask = Image.fromarray(random_picture()), Image.fromarray((box_mask() * 255).astype(np.uint8))
    given = {"image": original, "mask_image": mask, "strength": 1.0, "width": SIZE_PX, "height": SIZE_PX}
    theirs = painted_by_diffusers(families / architecture, architecture, "Inpaint", **given)
    wishes = {"init_image": encode_png(original), "mask_image": encode_png(mask), "strength": 1.0}
    assert psnr(painted(grpc_address, architecture, **wishes, keep_unmasked=False), theirs) >= SAME_DB


@every_architecture
def test_another_seed_is_another_picture(grpc_address: str, architecture: str) -> None:
    """So the likeness above is not that of any two of these pictures."""
    assert psnr(painted(grpc_address, architecture, seed=SEED + 1), painted(grpc_address, architecture)) < SAME_DB / 2


def painted(address: str, family: str, **wishes: Any) -> NDArray[np.float32]:
    """(height, width, 3), in whole levels of 0 to 255."""
    plain = {"prompt": PROMPT.encode(), "negative_prompt": NEGATIVE.encode(), "seed": SEED, "steps": STEPS}
    stream = Stream(address, family, {**plain, "guidance_scale": GUIDANCE, **wishes}).run()
    assert stream.error is None
    (image,) = stream.images
    return np.asarray(Image.open(io.BytesIO(image))).astype(np.float32)


def painted_by_diffusers(folder: Path, architecture: str, task: str, **given: Any) -> NDArray[np.float32]:
    pipeline = getattr(diffusers, _PIPELINES[architecture].format(task))(**parts(folder, architecture))
    pipeline.set_progress_bar_config(disable=True)
    answer = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        generator=torch.Generator("cpu").manual_seed(SEED),
        **given,
    )
    return np.asarray(answer.images[0]).astype(np.float32)


def parts(folder: Path, architecture: str) -> dict[str, Any]:
    """A pipeline's, each by its real class."""
    plain = transformers.CLIPTextModel if architecture == "sdxl" else transformers.CLIPTextModelWithProjection
    kinds = (plain, transformers.CLIPTextModelWithProjection, transformers.T5EncoderModel)
    encoders = {name: kind for name, kind in zip(_ENCODERS, kinds, strict=True) if (folder / name).is_dir()}
    made: dict[str, Any] = {name: kind.from_pretrained(folder / name).eval() for name, kind in encoders.items()}
    for name in encoders:
        tokenizer = name.replace("text_encoder", "tokenizer")
        made[tokenizer] = transformers.AutoTokenizer.from_pretrained(folder / tokenizer)
    if architecture == "sd3":
        denoiser, network = "transformer", diffusers.SD3Transformer2DModel
    else:
        denoiser, network = "unet", diffusers.UNet2DConditionModel
        made["force_zeros_for_empty_prompt"] = False
    made[denoiser] = network.from_pretrained(folder / denoiser, low_cpu_mem_usage=False).eval()
    made["vae"] = diffusers.AutoencoderKL.from_pretrained(folder / "vae", low_cpu_mem_usage=False).eval()
    made["scheduler"] = _SCHEDULERS[architecture][1].from_pretrained(folder / "scheduler")
    return made
