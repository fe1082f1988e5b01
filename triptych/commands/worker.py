"""`triptych worker`: a process that does jobs, beside an orchestrator that accepts them."""

import argparse
import asyncio
from pathlib import Path

from triptych.environment import read_settings
from triptych.project import FAMILIES

HELP = "do jobs in a process of its own, for an orchestrator that shares its database and Redis; Ctrl-C ends it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="as given to `triptych up` (default: TRIPTYCH_STATE_FOLDER, .triptych)",
    )


def run(arguments: argparse.Namespace) -> int:
    # Only now: the database and the vector index take a second to import, which `triptych --help` need not pay.
    from orchestrator.logs import configure_logging
    from orchestrator.worker import check, serve

    settings = read_settings(arguments.state).model_copy(update={"families_folder": FAMILIES})
    check(settings)
    configure_logging(settings)
    asyncio.run(serve(settings))
    return 0
