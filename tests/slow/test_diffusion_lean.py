"""What the pipeline adds to its networks is little: a picture against the bare sum of its ONNX Runtime calls.

Best rounds of both by turns on this machine. These are for a machine that does nothing else: another load takes
its share from the two unequally. The demo's picture is asked for as one answer: steps of 12 ms on two cores are so
short that telling of each costs some per cent more, which the bench tells. The bare calls are those of plain sessions;
the demo's served UNet is quicker, by a tenth on two cores (docs/decisions/0010-rows-on-cores-of-their-own.md).
"""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from bench.diffusion_overhead import answered, bare_calls, measure, streamed
from embedded.server import TritonServer
from modelcore.family import Defaults, read_family
from tests.small_pipeline import write_small_family
from tests.triptych_process import PROJECT, Addresses
from tests.triton.conftest import free_options
from triptych.painting import Painter
from triptych.project import FAMILIES, MODEL_REPOSITORY

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(3600)]

READY_TIMEOUT_S = 300.0


def defaults_of(family: Path) -> Defaults:
    diffusion = read_family(family).diffusion
    assert diffusion is not None
    return diffusion.defaults


def test_a_picture_of_the_demo_family_takes_at_most_15_per_cent_more_than_its_calls(triptych: Addresses) -> None:
    bare = bare_calls(MODEL_REPOSITORY, "demo", defaults_of(FAMILIES / "demo"), steps=20)
    (found,) = measure({"": answered(triptych.triton_grpc, steps=20)}, bare, rounds=30).values()
    assert found.ratio <= 1.15


@pytest.fixture(scope="module")
def large_family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SD1.4's UNet with random weights; the rest is small. Its pictures have 256 pixels."""
    folder = write_small_family(tmp_path_factory.mktemp("families") / "large")
    torch.manual_seed(0)
    width_of_text = 24
    UNet2DConditionModel(sample_size=64, cross_attention_dim=width_of_text).save_pretrained(folder / "unet")
    toml = folder / "family.toml"
    toml.write_text(toml.read_text().replace("= 128", "= 256"))
    return folder


@pytest.fixture(scope="module")
def repository(large_family: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("repository")
    command = [sys.executable, "-m", "export", str(large_family), "--to", str(target)]
    subprocess.run(command, cwd=PROJECT, check=True)
    return target


def test_a_picture_of_an_sd14_sized_unet_takes_at_most_3_per_cent_more_than_its_calls(
    large_family: Path, repository: Path, tmp_path: Path
) -> None:
    options = dataclasses.replace(free_options(repository), exit_timeout_s=30)
    server = TritonServer(options, tmp_path / "triton.log")
    try:
        server.start()
        server.wait_ready(READY_TIMEOUT_S)
        paint = streamed(Painter(f"127.0.0.1:{options.grpc_port}", "large"), steps=4)
        bare = bare_calls(repository, "large", defaults_of(large_family), steps=4)
        (found,) = measure({"": paint}, bare, rounds=5).values()
        assert found.ratio <= 1.03
    finally:
        server.stop()
