"""`triptych train demo [PART]`: train the demo family from nothing, or measure it again."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.family import Part
    from training.measurement import Measured

HELP = "train the demo family's networks from nothing, or measure them again"
_PARTS = ("tokenizer", "clip", "vae", "sam2", "captioner", "unet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("family", choices=["demo"], help="the family to train")
    parser.add_argument("part", nargs="?", choices=_PARTS, help="only this part (default: all)")
    parser.add_argument("--check", action="store_true", help="train nothing; measure the weights that are there")
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on from the last checkpoint, or begin again",
    )
    parser.add_argument("--seed", type=int, default=1, help="of weights and data (default: 1)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="for checkpoints (default: runs/)")
    parser.add_argument("--to", type=Path, metavar="DIR", help="for the weights (default: families/demo/)")


def run(arguments: argparse.Namespace) -> int:
    # torch and transformers take seconds to import; --help should not.
    import torch

    from training.family import FAMILY, RUNS, is_present

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    family = arguments.to or FAMILY
    names = [arguments.part] if arguments.part else list(_PARTS)
    if not arguments.check:
        return _train(names, arguments.runs or RUNS, family, arguments)
    return _check([name for name in names if arguments.part or is_present(name, family)], family)


def _train(names: list[str], runs: Path, family: Path, arguments: argparse.Namespace) -> int:
    from training.card import write_card
    from training.device import machine
    from training.family import PARTS, Order

    for name in names:
        part = PARTS[name]()
        order = Order(runs / name, family / name, arguments.seed, arguments.resume)
        finished = part.train(order)
        measured = part.measure(order.weights_folder)
        write_card(part, order, finished, measured, machine())
        _print(measured)
    return 0


def _check(names: list[str], family: Path) -> int:
    """Exit status 1 where a bar is missed, so that CI can hold the promise."""
    from training.family import PARTS

    parts: list[Part] = [PARTS[name]() for name in names]
    measured = [one for part in parts for one in part.measure(family / part.name)]
    _print(measured)
    return 1 if any(one.is_met is False for one in measured) else 0


def _print(measured: "list[Measured]") -> None:
    from training.measurement import table

    sys.stdout.write(table(measured) + "\n")
    sys.stdout.flush()
