"""`triptych convert_sam2 CHECKPOINT.pt FOLDER`: Meta's SAM2 to safetensors. The only command that takes a pickle."""

import argparse
import sys
from pathlib import Path

HELP = "turn Meta's SAM2 checkpoint (.pt) into a folder of safetensors that a family can name"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", type=Path, help="such as sam2.1_hiera_base_plus.pt; a pickle with code is refused"
    )
    parser.add_argument("folder", type=Path, help="to make, in the hub's layout")


def run(arguments: argparse.Namespace) -> int:
    # torch and transformers take seconds to import; --help should not.
    from export.sam2.convert import convert

    convert(arguments.checkpoint, arguments.folder)
    sys.stdout.write(f"{arguments.folder}: ready for a family's sam2 part\n")
    return 0
