"""What the pipeline adds to its networks: one client's picture against the bare sum of its ONNX Runtime calls.

    python -m bench.diffusion_overhead [--steps 20] [--rounds 9]

By turns in one run. The bare sum makes the same calls, of the same shapes and with the same session settings, in this
process and in a row: the prompt, each step of the UNet with guidance, the decoder. All else is
overhead: calls from model to model inside Triton, schedulers, telling the client of each step, the PNG.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from bench.diffusion_sharing import FAMILY, FIRST_PORT, serving
from modelcore.family import Defaults, read_family
from triptych.painting import Painter
from triptych.project import FAMILIES, MODEL_REPOSITORY

_PORT = FIRST_PORT + 20
_LATENT_CHANNELS = 4
_PX_PER_LATENT = 8
_TOKENS = 32


@dataclass(frozen=True)
class Overhead:
    """Seconds, by round."""

    pictures_s: tuple[float, ...]
    bare_s: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Of the best rounds: whatever else the machine does can only make a round slower."""
        return min(self.pictures_s) / min(self.bare_s)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.diffusion_overhead", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="of each picture (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="of each way (default: %(default)s)")
    arguments = parser.parse_args()
    diffusion = read_family(FAMILIES / FAMILY).diffusion
    assert diffusion is not None
    with tempfile.TemporaryDirectory() as scratch, serving(Path(scratch, "repository"), "", _PORT) as address:
        found = measure(
            picture(Painter(address, FAMILY), arguments.steps),
            bare_calls(MODEL_REPOSITORY, FAMILY, diffusion.defaults, arguments.steps),
            arguments.rounds,
        )
    ratios = [mine / theirs for mine, theirs in zip(found.pictures_s, found.bare_s, strict=True)]
    say(f"best of {arguments.rounds}: a picture {min(found.pictures_s):.3f} s, its calls {min(found.bare_s):.3f} s")
    say(f"ratio of the best {found.ratio:.3f}; of single rounds {statistics.median(ratios):.3f} in the median")
    return 0


def measure(paint: Callable[[], None], bare: Callable[[], None], rounds: int) -> Overhead:
    taken: list[tuple[float, float]] = []
    for way in (paint, bare):  # buffers
        way()
    for _ in range(rounds):
        taken.append((seconds(paint), seconds(bare)))
    pictures_s, bare_s = zip(*taken, strict=True)
    return Overhead(pictures_s, bare_s)


def seconds(way: Callable[[], None]) -> float:
    started_s = time.perf_counter()
    way()
    return time.perf_counter() - started_s


def picture(painter: Painter, steps: int) -> Callable[[], None]:
    """The prompt is new each time, for the texts of earlier ones are remembered."""
    turn = iter(range(10**6))

    def paint() -> None:
        number = next(turn)
        wishes = {"prompt": f"a red circle {number}", "seed": number, "steps": steps, "guidance_scale": 4.0}
        with painter.paint(wishes) as events:
            for _ in events:
                pass

    return paint


def bare_calls(repository: Path, family: str, size: Defaults, steps: int) -> Callable[[], None]:
    text, unet, decoder = (
        open_session(repository / f"{family}_{name}" / "1" / "model.onnx")
        for name in ("text_encoder", "unet", "vae_decoder")
    )
    height, width = size.height // _PX_PER_LATENT, size.width // _PX_PER_LATENT
    latents = np.random.default_rng(0).standard_normal((2, _LATENT_CHANNELS, height, width), dtype=np.float32)
    ids = np.ones((1, _TOKENS), np.int64)

    def call() -> None:
        # The empty negative prompt is remembered by the pipeline, so it is no call of a picture's.
        (words,) = text.run(["last_hidden_state"], {"input_ids": ids})
        given = {
            "latents": latents,
            "timestep": np.full((2, 1), 500, np.float32),
            "encoder_hidden_states": np.repeat(words, 2, axis=0),
        }
        for _ in range(steps):
            unet.run(["noise"], given)
        decoder.run(["picture"], {"latents": latents[:1]})

    return call


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """As the embedded backend opens it."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
