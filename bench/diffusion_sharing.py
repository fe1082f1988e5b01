"""What sharing every step is worth: the same pictures for 1 to 16 clients, three ways by turns in one run.

    python -m bench.diffusion_sharing [--steps 20] [--rounds 3]

- shared: the served pipeline, whose pictures in flight share each call of the UNet;
- alone: the same, but for calls of one picture each, by turns;
- locked: diffusers' own pipeline in torch behind one lock, one request after the other, as most servers do it.

Each client asks for one picture after the other; all three paint on all cores of this machine. On a CPU a small UNet
costs twice as much for twice as many rows, so there is little to win in pictures a second; what sharing gives there is
that nobody waits for another's whole picture. Ratios are those of one round, medians over the rounds.
"""

import argparse
import contextlib
import shutil
import statistics
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
import tritonclient.grpc as triton
from diffusers import StableDiffusionPipeline

from embedded.options import TritonOptions
from embedded.server import TritonServer
from modelcore.family import read_family
from triptych.painting import Painter
from triptych.project import FAMILIES, MODEL_REPOSITORY

FAMILY = "demo"
CLIENTS = (1, 2, 4, 8, 16)
PICTURES_A_CLIENT = 2
GUIDANCE_SCALE = 3.0
READY_TIMEOUT_S = 120.0
FIRST_PORT = 19600
_PROMPTS = ("a red circle", "a blue square and a star", "a green heart", "a yellow cross")
# The pipeline's own code, told never to let two pictures into one call.
_UNSHARED_SHIM = """
import modelcore.pipeline_studio
from modelcore.diffusion.call_sizes import FixedCallSize

modelcore.pipeline_studio.TimedCallSize = lambda _slots: FixedCallSize(1)
"""


Way = Callable[[str, int], float]  # paints a picture of a prompt and a seed; the seconds until the first sign of it


@dataclass(frozen=True)
class Round:
    pictures_per_s: float
    first_sign_s: float  # until a client has heard of its first step, or has its picture where there are no steps


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.diffusion_sharing", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="of each picture (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of each way (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        ways = {
            "shared": streamed(stack.enter_context(serving(Path(scratch, "shared"), "", FIRST_PORT)), arguments.steps),
            "alone": streamed(
                stack.enter_context(serving(Path(scratch, "alone"), _UNSHARED_SHIM, FIRST_PORT + 10)), arguments.steps
            ),
            "locked": locked_diffusers(arguments.steps),
        }
        compare(ways, arguments.rounds, FIRST_PORT + 1)
    return 0


def compare(ways: dict[str, Way], rounds: int, shared_grpc_port: int) -> None:
    for way in ways.values():
        way(_PROMPTS[0], 0)  # the first one warms caches and buffers
    columns = "".join(f"{name + ' /s':>12}" for name in ways) + "".join(f"{name + ' 1st':>12}" for name in ways)
    say(f"{'clients':>7}{columns}{'shared:alone':>14}{'shared:locked':>15}{'rows a call':>13}")
    for clients in CLIENTS:
        done: dict[str, list[Round]] = {name: [] for name in ways}
        before, calls_before = unet_counts(shared_grpc_port)
        for _ in range(rounds):
            for name, way in ways.items():
                done[name].append(paint_all(way, clients))
        slots, calls = unet_counts(shared_grpc_port)
        report(clients, done, (slots - before) / (calls - calls_before) / 2)


def report(clients: int, done: dict[str, list[Round]], rows_per_call: float) -> None:
    rates = [statistics.median(each.pictures_per_s for each in rounds) for rounds in done.values()]
    signs = [statistics.median(each.first_sign_s for each in rounds) for rounds in done.values()]
    ratios = [
        statistics.median(
            ours.pictures_per_s / theirs.pictures_per_s
            for ours, theirs in zip(done["shared"], done[other], strict=True)
        )
        for other in ("alone", "locked")
    ]
    cells = "".join(f"{rate:12.2f}" for rate in rates) + "".join(f"{sign:10.2f} s" for sign in signs)
    say(f"{clients:7}{cells}{ratios[0]:13.2f}x{ratios[1]:14.2f}x{rows_per_call:13.1f}")


def paint_all(way: Way, clients: int) -> Round:
    def client(number: int) -> list[float]:
        return [way(_PROMPTS[number % len(_PROMPTS)], 100 * number + turn) for turn in range(PICTURES_A_CLIENT)]

    started_s = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        signs = [sign for of_client in pool.map(client, range(clients)) for sign in of_client]
    taken_s = time.perf_counter() - started_s
    return Round(clients * PICTURES_A_CLIENT / taken_s, statistics.mean(signs))


def streamed(address: str, steps: int) -> Way:
    painter = Painter(address, FAMILY)

    def paint(prompt: str, seed: int) -> float:
        wishes = {"prompt": prompt, "seed": seed, "steps": steps, "guidance_scale": GUIDANCE_SCALE}
        started_s = time.perf_counter()
        with painter.paint(wishes) as events:
            next(events)
            first_sign_s = time.perf_counter() - started_s
            for _ in events:
                pass
        return first_sign_s

    return paint


def locked_diffusers(steps: int) -> Way:
    source: Any = read_family(FAMILIES / FAMILY).part("diffusion")
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of a scheduler's field that this one does not read
        pipeline = StableDiffusionPipeline.from_pretrained(
            source.source / source.subfolder, safety_checker=None, torch_dtype=torch.float32
        )
    pipeline.set_progress_bar_config(disable=True)
    lock = threading.Lock()

    def paint(prompt: str, seed: int) -> float:
        started_s = time.perf_counter()
        with lock:
            generator = torch.Generator("cpu").manual_seed(seed)
            pipeline(prompt, num_inference_steps=steps, guidance_scale=GUIDANCE_SCALE, generator=generator)
        return time.perf_counter() - started_s

    return paint


def unet_counts(grpc_port: int) -> tuple[int, int]:
    """Slots and calls so far."""
    with triton.InferenceServerClient(f"127.0.0.1:{grpc_port}") as client:
        (model,) = client.get_inference_statistics(f"{FAMILY}_unet").model_stats
    return int(model.inference_count), int(model.execution_count)


@contextlib.contextmanager
def serving(repository: Path, shim_head: str, port: int) -> Iterator[str]:
    """The exported family, its pipeline's code preceded by `shim_head`."""
    for source in MODEL_REPOSITORY.glob(f"{FAMILY}*"):
        shutil.copytree(source, repository / source.name, symlinks=True)
    shim = repository / FAMILY / "1" / "model.py"
    shim.write_text(shim_head + shim.read_text())
    options = TritonOptions((repository,), http_port=port, grpc_port=port + 1, metrics_port=port + 2)
    server = TritonServer(options, repository.with_suffix(".log"))
    try:
        server.start()
        server.wait_ready(READY_TIMEOUT_S)
        yield f"{options.local_address}:{options.grpc_port}"
    finally:
        server.stop()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
