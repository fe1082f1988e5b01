"""What the pipeline adds to its networks: one client's picture against the bare sum of its ONNX Runtime calls.

    python -m bench.diffusion_overhead [--steps 20] [--rounds 9]

By turns in one run. The bare sum makes the same calls, of the same shapes and with the same session settings, in this
process and in a row: the prompt, each step of the UNet with guidance, the decoder. It makes them plainly, all cores on
each node, while the served denoiser may compute its rows on cores of their own (docs/embedded-triton.md). All else is
overhead: calls from model to model inside Triton, schedulers, the PNG. Two ways to ask: for one answer, and for a
stream that also tells of each step, which takes time from the UNet where both share two cores.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tritonclient.grpc as triton

from bench.diffusion_sharing import FAMILY, FIRST_PORT, serving
from modelcore.family import Defaults, read_family
from triptych.painting import Painter
from triptych.project import FAMILIES, MODEL_REPOSITORY

_PORT = FIRST_PORT + 20
_LATENT_CHANNELS = 4
_PX_PER_LATENT = 8
_TOKENS = 32
_TENSORS: dict[str, tuple[str, Any]] = {
    "prompt": ("BYTES", np.object_),
    "seed": ("INT64", np.int64),
    "steps": ("INT32", np.int32),
    "guidance_scale": ("FP32", np.float32),
}


@dataclass(frozen=True)
class Overhead:
    """Seconds, by round."""

    pictures_s: tuple[float, ...]
    bare_s: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Of the best rounds: whatever else the machine does can only make a round slower."""
        return min(self.pictures_s) / min(self.bare_s)

    def __str__(self) -> str:
        single = statistics.median(mine / theirs for mine, theirs in zip(self.pictures_s, self.bare_s, strict=True))
        best = f"{min(self.pictures_s):.3f} s where its calls take {min(self.bare_s):.3f}"
        return f"{best}, ratio {self.ratio:.3f} (best rounds); {single:.3f} in the median of single rounds"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.diffusion_overhead", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="of each picture (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="of each way (default: %(default)s)")
    arguments = parser.parse_args()
    diffusion = read_family(FAMILIES / FAMILY).diffusion
    assert diffusion is not None
    with tempfile.TemporaryDirectory() as scratch, serving(Path(scratch, "repository"), "", _PORT) as address:
        ways = {
            "one answer": answered(address, arguments.steps),
            "a stream": streamed(Painter(address, FAMILY), arguments.steps),
        }
        bare = bare_calls(MODEL_REPOSITORY, FAMILY, diffusion.defaults, arguments.steps)
        for name, found in measure(ways, bare, arguments.rounds).items():
            say(f"{name}: {found}")
    return 0


def measure(ways: Mapping[str, Callable[[], None]], bare: Callable[[], None], rounds: int) -> dict[str, Overhead]:
    for way in (*ways.values(), bare):  # buffers
        way()
    taken = [[seconds(way) for way in (*ways.values(), bare)] for _ in range(rounds)]
    *pictures_s, bare_s = zip(*taken, strict=True)
    return {name: Overhead(mine_s, bare_s) for name, mine_s in zip(ways, pictures_s, strict=True)}


def seconds(way: Callable[[], None]) -> float:
    started_s = time.perf_counter()
    way()
    return time.perf_counter() - started_s


def answered(address: str, steps: int, family: str = FAMILY) -> Callable[[], None]:
    client, wishes = triton.InferenceServerClient(address), several_wishes(steps)

    def paint() -> None:
        client.infer(f"{family}_image", [tensor_of(name, value) for name, value in next(wishes).items()])

    return paint


def streamed(painter: Painter, steps: int) -> Callable[[], None]:
    wishes = several_wishes(steps)

    def paint() -> None:
        with painter.paint(next(wishes)) as events:
            for _ in events:
                pass

    return paint


def several_wishes(steps: int) -> Iterator[dict[str, Any]]:
    """The prompt is new each time, for the texts of earlier ones are remembered; to every bench as well."""
    for _ in range(10**6):
        seed = int(np.random.default_rng().integers(2**31))
        yield {"prompt": f"a red circle {seed}", "seed": seed, "steps": steps, "guidance_scale": 4.0}


def tensor_of(name: str, value: Any) -> triton.InferInput:
    data_type, kind = _TENSORS[name]
    return triton.InferInput(name, [1], data_type).set_data_from_numpy(np.array([value], kind))


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
    return onnxruntime.InferenceSession(str(path), session_options(), providers=["CPUExecutionProvider"])


def session_options() -> onnxruntime.SessionOptions:
    """The embedded backend's, whose folder stands alone and cannot be imported: a test holds the two together."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.spin_duration_us", "20")
    return options


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
