"""Time per picture for automatic masks: the served `segment` and Meta's generator, by turns in one run.

    python -m bench.automatic_masks [--pictures 4] [--sizes 128,1024] [--points 16]

The demo family's SAM2 on held-out scenes, drawn and enlarged; ours through gRPC to a Triton of its own, each picture
encoded anew. Meta's generator is the package's own code over transformers' networks (tests/meta_generator.py). Where
the package `sam2` is not installed, its stand-in is a loop as it works: one click a call, nothing split, every mask at
full size. Time is that of all CPU cores and of all processes, Triton's included; torch has one thread: others may use
the same cores, and threads that wait for each other would count.
"""

import argparse
import contextlib
import importlib.util
import socket
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import tritonclient.grpc
from numpy.typing import NDArray
from PIL import Image

from embedded.options import TritonOptions
from embedded.server import TritonServer
from export.sam2.source import load_sam2
from modelcore.images import encode_png
from modelcore.vision.sam2_input import Sam2Facts, preprocess
from training.world import World
from triptych.project import FAMILIES, MODEL_REPOSITORY

MODELS = ("sam2_encoder", "sam2_prepare", "sam2_decoder", "segment")
WEIGHTS = FAMILIES / "demo" / "sam2"
LEAST_EXPECTED, LEAST_STABLE = 0.8, 0.8
READY_TIMEOUT_S = 60.0

Pixels = NDArray[np.uint8]
Way = Callable[[Pixels], int]  # to the number of masks found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.automatic_masks", description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=4, metavar="N", help="of each size (default: %(default)s)")
    parser.add_argument("--sizes", default="128,1024", metavar="PX,PX", help="sides in pixels (default: %(default)s)")
    parser.add_argument("--points", type=int, default=16, metavar="N", help="on each side (default: %(default)s)")
    arguments = parser.parse_args()
    has_meta = importlib.util.find_spec("sam2") is not None
    theirs = metas_generator(arguments.points) if has_meta else unsplit_loop(arguments.points)
    name = "Meta's generator" if has_meta else "unsplit, unbatched loop (no package sam2)"
    torch.set_num_threads(1)
    with serving() as (address, server):
        ours = served(address, arguments.points)
        for size in arguments.sizes.split(","):
            compare(server, {"ours": ours, name: theirs}, int(size), arguments.pictures)
    return 0


def compare(server: psutil.Process, ways: dict[str, Way], side_px: int, pictures: int) -> None:
    taken_s: dict[str, list[float]] = {name: [] for name in ways}
    found = dict.fromkeys(ways, 0)
    for number, sample in enumerate(World("held_out", 71).samples(pictures + 1)):
        pixels = np.asarray(Image.fromarray(sample.drawing.pixels).resize((side_px, side_px), Image.Resampling.BICUBIC))
        for name, way in ways.items():
            before = cpu_seconds(server)
            masks = way(pixels)
            if number:  # the first one warms up
                taken_s[name].append(cpu_seconds(server) - before)
                found[name] += masks
    ours, theirs = taken_s
    ratios = [other / our for our, other in zip(taken_s[ours], taken_s[theirs], strict=True)]
    medians = [statistics.median(times) for times in taken_s.values()]
    say(f"{side_px} px: ours {medians[0]:.2f} s a picture, {theirs} {medians[1]:.2f} s")
    say(f"  {statistics.median(ratios):.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f})")
    say(f"  masks found: {found[ours]} and {found[theirs]}")


def cpu_seconds(server: psutil.Process) -> float:
    """Of this process, of Triton and of its models' processes, so far."""
    times = [process.cpu_times() for process in (psutil.Process(), server, *server.children(recursive=True))]
    return sum(each.user + each.system for each in times)


@contextlib.contextmanager
def serving() -> Iterator[tuple[str, psutil.Process]]:
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(3)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        http, grpc, metrics = (probe.getsockname()[1] for probe in probes)
        stack.pop_all().close()
        options = TritonOptions(
            (MODEL_REPOSITORY,), http_port=http, grpc_port=grpc, metrics_port=metrics, models=MODELS
        )
        server = TritonServer(options, Path(scratch, "triton.log"))
        try:
            server.start()
            server.wait_ready(READY_TIMEOUT_S)
            yield f"127.0.0.1:{grpc}", psutil.Process(server.pid)
        finally:
            server.stop()


def served(address: str, points: int) -> Way:
    client = tritonclient.grpc.InferenceServerClient(address)

    def way(pixels: Pixels) -> int:
        image = tritonclient.grpc.InferInput("image", [1], "BYTES")
        image.set_data_from_numpy(np.array([encode_png(Image.fromarray(pixels))], dtype=np.object_))
        grid = tritonclient.grpc.InferInput("points_per_side", [1], "INT32")
        grid.set_data_from_numpy(np.array([points], np.int32))
        return len(client.infer("segment", [image, grid]).as_numpy("scores"))

    return way


def metas_generator(points: int) -> Way:
    from tests.meta_generator import meta_generator

    warnings.simplefilter("ignore")  # hydra, which Meta's package reads its configuration with, warns of its own ways
    generator = meta_generator(WEIGHTS, points_per_side=points, stability_score_thresh=LEAST_STABLE)
    return lambda pixels: len(generator.generate(pixels))


def unsplit_loop(points: int) -> Way:
    """Counts good masks before duplicates go, which costs nothing beside the rest."""
    model: Any = load_sam2(WEIGHTS)
    facts = Sam2Facts.load(MODEL_REPOSITORY / "segment" / "1")
    centres = (np.arange(points) + 0.5) / points * facts.side_px

    @torch.inference_mode()
    def way(pixels: Pixels) -> int:
        seen = model.get_image_embeddings(torch.from_numpy(preprocess(Image.fromarray(pixels), facts))[None])
        return sum(_good_masks(model, seen, (x, y), pixels.shape[:2]) for y in centres for x in centres)

    return way


def _good_masks(model: Any, seen: list[torch.Tensor], place: tuple[float, float], size: tuple[int, ...]) -> int:
    clicks = torch.tensor(place, dtype=torch.float32)[None, None, None]
    answer = model(image_embeddings=seen, input_points=clicks, multimask_output=True)
    full = torch.nn.functional.interpolate(answer.pred_masks[0], size, mode="bilinear", align_corners=False)[0]
    sparing, generous = ((full > offset).sum(dim=(1, 2)) for offset in (1.0, -1.0))
    stable = sparing / generous.clamp(min=1) >= LEAST_STABLE
    return int((stable & (answer.iou_scores[0, 0] > LEAST_EXPECTED)).sum())


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
