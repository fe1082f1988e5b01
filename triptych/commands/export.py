"""`triptych export FAMILY`: a family of weights becomes Triton models. Heavy imports wait until it runs."""

import argparse
import sys
import time
from pathlib import Path

from export.plan import plan_clip
from modelcore.family import read_family
from triptych.project import FAMILIES, MODEL_REPOSITORY

HELP = "turn a family's weights into Triton models, each checked against its source"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("family", nargs="?", default="demo", help="a folder of families/ (default: demo)")
    parser.add_argument(
        "--to",
        type=Path,
        default=MODEL_REPOSITORY,
        metavar="DIR",
        help="the model repository to write into (default: the project's own)",
    )


def run(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    family = read_family(FAMILIES / arguments.family)
    plan = plan_clip(family.part("clip"), arguments.to, family.licence)
    if not plan.stale:
        sys.stdout.write(f"{family.name}: every model is up to date\n")
        return 0
    # torch and transformers take seconds to import: not for a wrong name, nor when there is nothing to do.
    from export.run import export_clip

    for event in export_clip(plan):
        sys.stdout.write(f"[{time.monotonic() - started:6.1f} s] {family.name} {event.model}: {event.stage}\n")
        sys.stdout.flush()
    return 0
