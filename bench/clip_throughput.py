"""Pictures a second through the served CLIP, from JPEG bytes, against a plain transformers loop: by turns in one run.

    python -m bench.clip_throughput [--pictures 96] [--rounds 5] [--side 480]

The demo family's CLIP on both sides, the same new JPEG files for both in every round, so that no cache answers. The
loop is what one writes first: open, process, embed, one picture after the other. Ours sends them to
`clip_image_bytes`, one picture a call from several clients at once, and in calls of 16.
"""

import argparse
import asyncio
import contextlib
import io
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel

from embedded.options import TritonOptions
from embedded.server import TritonServer
from triptych.project import FAMILIES, MODEL_REPOSITORY

MODELS = ("clip_preprocess", "clip_image", "clip_image_bytes")
CLIENTS = 8
PICTURES_A_CALL = 16
READY_TIMEOUT_S = 60.0
PORT = 19440

Vectors = NDArray[np.float32]
Way = Callable[[list[bytes]], Vectors]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.clip_throughput", description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=96, metavar="N", help="in a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of each way (default: %(default)s)")
    parser.add_argument("--side", type=int, default=480, metavar="PX", help="of each picture (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, serving(Path(scratch)) as address:
        ways: dict[str, Way] = {
            "transformers, one by one": transformers_loop(),
            f"served, {CLIENTS} clients": lambda files: asyncio.run(ask(address, files, 1)),
            f"served, {PICTURES_A_CALL} a call": lambda files: asyncio.run(ask(address, files, PICTURES_A_CALL)),
        }
        for way in ways.values():  # the first call of each pays for loading
            way(jpegs(PICTURES_A_CALL, arguments.side, seed=0))
        compare(ways, arguments.pictures, arguments.side, arguments.rounds)
    return 0


def compare(ways: dict[str, Way], pictures: int, side_px: int, rounds: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in ways}
    likeness = 1.0
    for number in range(1, rounds + 1):
        files = jpegs(pictures, side_px, seed=number)
        answers = []
        for name, way in ways.items():
            started = time.perf_counter()
            # The same pictures again would be answered from Triton's cache: each way gets copies of its own.
            answers.append(way(marked(files)))
            rates[name].append(pictures / (time.perf_counter() - started))
        likeness = min(likeness, *(float((answers[0] * other).sum(axis=1).min()) for other in answers[1:]))
    baseline, *_ = rates.values()
    say(f"{pictures} JPEG pictures of {side_px} px, medians of {rounds} rounds")
    for name, found in rates.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(found, baseline, strict=True))
        say(f"{name:>26}  {statistics.median(found):7.1f}/s  {ratio:5.2f}x")
    say(f"least cosine between their embeddings: {likeness:.6f}")


def transformers_loop() -> Way:
    folder = FAMILIES / "demo" / "clip"
    # So small a network gains nothing from a second thread, and on a busy machine the two wait for each other: 2
    # pictures a second.
    torch.set_num_threads(1)
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    processor = CLIPImageProcessorPil.from_pretrained(folder)

    def embed(files: list[bytes]) -> Vectors:
        rows = []
        with torch.inference_mode():
            for data in files:
                inputs = processor(Image.open(io.BytesIO(data)).convert("RGB"), return_tensors="pt")
                rows.append(torch.nn.functional.normalize(model.get_image_features(**inputs).pooler_output, dim=-1))
        return torch.cat(rows).numpy()

    return embed


async def ask(address: str, files: list[bytes], a_call: int) -> Vectors:
    calls = [files[start : start + a_call] for start in range(0, len(files), a_call)]
    turns = iter(enumerate(calls))
    answers: dict[int, Vectors] = {}

    async def ask_in_turn(client: triton.InferenceServerClient) -> None:
        for place, call in turns:
            image = triton.InferInput("image", [len(call), 1], "BYTES")
            image.set_data_from_numpy(np.array(call, dtype=object).reshape(-1, 1))
            answers[place] = (await client.infer("clip_image_bytes", [image])).as_numpy("embedding")

    async with triton.InferenceServerClient(address) as client:
        await asyncio.gather(*(ask_in_turn(client) for _ in range(CLIENTS)))
    return np.concatenate([answers[place] for place in range(len(calls))])


def jpegs(count: int, side_px: int, seed: int) -> list[bytes]:
    """Soft colours with a photo's grain."""
    random = np.random.default_rng(seed)
    files = []
    for _ in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side_px, side_px), Image.Resampling.BICUBIC), dtype=np.int16)
        grainy = smooth + random.integers(-8, 9, smooth.shape, dtype=np.int16)
        buffer = io.BytesIO()
        Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(buffer, format="JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


_mark = itertools.count()


def marked(files: list[bytes]) -> list[bytes]:
    """Other bytes, the same pixels: a number behind the end of the picture, where nobody looks."""
    return [data + next(_mark).to_bytes(8, "big") for data in files]


@contextlib.contextmanager
def serving(scratch: Path) -> Iterator[str]:
    repository = scratch / "repository"
    repository.mkdir()
    for name in MODELS:
        (repository / name).symlink_to(MODEL_REPOSITORY / name)
    options = TritonOptions((repository,), http_port=PORT, grpc_port=PORT + 1, metrics_port=PORT + 2)
    server = TritonServer(options, scratch / "triton.log")
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
