"""`triptych down`: stop what `triptych up` started from this clone."""

import argparse
import sys
from pathlib import Path

from triptych.instance import Instance
from triptych.project import STATE

HELP = "stop the Triptych that runs from this clone"
TIMEOUT_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state", type=Path, default=STATE, metavar="DIR", help="as given to `triptych up` (default: %(default)s)"
    )
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, metavar="SECONDS", help="wait this long (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    instance = Instance(arguments.state)
    if (pid := instance.running_pid()) is not None:
        sys.stderr.write(f"stopping process {pid}; requests in flight get up to 10 s\n")
    stopped = instance.stop_running(arguments.timeout)
    sys.stdout.write("stopped\n" if stopped else "nothing runs from this clone\n")
    return 0
