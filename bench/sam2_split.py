"""What splitting SAM2's decoder is worth for automatic masks: a grid of clicks on one picture, by turns in one run.

    python -m bench.sam2_split [--points 1024] [--rounds 3]

Both ways are exported ONNX graphs in ONNX Runtime, as served, with random weights of the published decoder's widths on
a picture of 512 pixels (the published side is 1024, where everything counted here is four times as much). Time is that
of the CPU, on one thread: cores may be shared while it runs.

- whole: transformers' decoder, which projects the picture again for every click;
- split: sam2_prepare once, then sam2_decoder.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode
from transformers import Sam2Model

from export.graph import GraphInput, GraphOutput, export_graph
from export.sam2.decoder import Decoder, decoder_network
from export.sam2.meta_sizes import SIZES, size_config
from export.sam2.prepare import Prepare, prepare_network
from export.sam2.prompts import random_features, random_prompts
from export.sam2.sizes import mask_input_shape

SIDE_PX = 512
PROMPTS_A_CALL = 32

Arrays = dict[str, NDArray[np.generic]]
Masks = NDArray[np.float32]


class WholeDecoder(torch.nn.Module):
    """transformers' own, with its three masks for each click."""

    def __init__(self, model: Sam2Model) -> None:
        super().__init__()
        self.prompts: Any = model.prompt_encoder
        self.decoder: Any = model.mask_decoder
        self.places = torch.nn.Buffer(model.get_image_wide_positional_embeddings().detach())

    def forward(
        self,
        image_embedding: torch.Tensor,
        features_fine: torch.Tensor,
        features_middle: torch.Tensor,
        points: torch.Tensor,
        labels: torch.Tensor,
    ) -> torch.Tensor:
        sparse, dense = self.prompts(points[None], labels[None], None, None)
        fine = [features_fine, features_middle]
        masks: torch.Tensor = self.decoder(image_embedding, self.places, sparse, dense, True, fine)[0]
        return masks[0]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sam2_split", description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1024, metavar="N", help="clicks (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of each way (default: %(default)s)")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = mid_size_model()
    report_work(model)
    with tempfile.TemporaryDirectory() as scratch:
        sessions = export_ways(model, Path(scratch))
    compare(ways(model, sessions, arguments.points), arguments.points, arguments.rounds)
    return 0


def mid_size_model() -> Sam2Model:
    """Only its decoder is used, and that is the same in every published size."""
    config = size_config(SIZES[0])
    prompts: Any = config.prompt_encoder_config
    prompts.image_size = SIDE_PX
    model: Sam2Model = Sam2Model._from_config(config, attn_implementation="eager").eval()
    return model


def export_ways(model: Sam2Model, folder: Path) -> dict[str, onnxruntime.InferenceSession]:
    sessions = {}
    for name, network in (("prepare", prepare_network(model)), ("decoder", decoder_network(model))):
        say(f"exporting {name}")
        export_graph(network.module, network.inputs, network.outputs, folder / f"{name}.onnx")
        sessions[name] = open_session(folder / f"{name}.onnx")
    say("exporting whole")
    export_graph(
        WholeDecoder(model), whole_inputs(model), [GraphOutput("masks", {0: "prompts"})], folder / "whole.onnx"
    )
    return sessions | {"whole": open_session(folder / "whole.onnx")}


def open_session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def whole_inputs(model: Sam2Model) -> list[GraphInput]:
    names = ("image_embedding", "features_fine", "features_middle")
    features = [GraphInput(name, level, (), {}) for name, level in zip(names, random_features(model), strict=True)]
    points, labels = random_prompts(model, 2, 1)
    prompts = {0: "prompts"}
    return [*features, GraphInput("points", points, (0,), prompts), GraphInput("labels", labels, (0,), prompts)]


def ways(
    model: Sam2Model, sessions: dict[str, onnxruntime.InferenceSession], points: int
) -> dict[str, Callable[[], Masks]]:
    embedding, fine, middle = (level.numpy() for level in random_features(model))
    picture: Arrays = {"features_fine": fine, "features_middle": middle}
    no_mask: Arrays = {
        "image_embedding": embedding,
        "mask_input": np.zeros((1, *mask_input_shape(model)), np.float32),
        "has_mask": np.array([False]),
    }
    clicks, labels = (tensor.numpy() for tensor in random_prompts(model, points, 1))

    def ask(name: str, of_picture: Arrays) -> Masks:
        """The last call's masks: all of them would be gigabytes."""
        for start in range(0, points, PROMPTS_A_CALL):
            chunk = slice(start, start + PROMPTS_A_CALL)
            given = of_picture | {"points": clicks[chunk], "labels": labels[chunk]}
            (masks,) = sessions[name].run(["masks"], given)
        return np.asarray(masks[:, -3:])

    def whole() -> Masks:
        return ask("whole", picture | {"image_embedding": embedding})

    def split() -> Masks:
        names = [output.name for output in sessions["prepare"].get_outputs()]
        prepared = sessions["prepare"].run(None, no_mask)
        return ask("decoder", picture | dict(zip(names, prepared, strict=True)))

    return {"whole": whole, "split": split}


def compare(each: dict[str, Callable[[], Masks]], points: int, rounds: int) -> None:
    taken_s: dict[str, list[float]] = {name: [] for name in each}
    answers: dict[str, Masks] = {}
    for _ in range(rounds):
        for name, way in each.items():
            started = time.process_time()
            answers[name] = way()
            taken_s[name].append(time.process_time() - started)
    ratios = [whole / split for whole, split in zip(taken_s["whole"], taken_s["split"], strict=True)]
    ratio = statistics.median(ratios)
    difference = np.abs(answers["whole"] - answers["split"]).max() / max(1, np.abs(answers["whole"]).max())
    medians = {name: statistics.median(times) for name, times in taken_s.items()}
    say(f"{points} clicks: whole {medians['whole']:.1f} s, split {medians['split']:.1f} s (medians of {rounds})")
    say(f"split is {ratio:.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}): {1 - 1 / ratio:.0%} less time")
    say(f"largest relative difference between their masks: {difference:.1e}")


def report_work(model: Sam2Model) -> None:
    """Multiplications for one click, by torch's own count."""
    embedding, fine, middle = random_features(model)
    points, labels = random_prompts(model, 1, 1)
    earlier = torch.zeros(1, *mask_input_shape(model))
    whole = giga_flops(WholeDecoder(model), embedding, fine, middle, points, labels)
    with torch.no_grad():
        prepared = Prepare(model)(embedding, earlier, torch.tensor([False]))
    split = giga_flops(Decoder(model), *prepared, fine, middle, points, labels)
    say(f"work for one click: whole {whole:.2f} GFLOP, split {split:.2f}: {1 - split / whole:.0%} less")


def giga_flops(module: torch.nn.Module, *given: torch.Tensor) -> float:
    # With gradients on: the counter follows them.
    with FlopCounterMode(display=False) as counter:
        module(*given)
    return int(counter.get_total_flops()) / 1e9


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
