"""`triptych doctor`: everything that would keep `triptych up` from working, and what to do about it."""

import argparse
import asyncio
import sys

from embedded import preflight
from embedded.binary import find_binary
from embedded.options import TritonOptions
from modelcore.catalog import CATALOG
from modelcore.errors import SetupProblem
from triptych.environment import read_settings
from triptych.instance import Instance
from triptych.project import MODEL_REPOSITORY, STATE

HELP = "look for what would keep Triptych from running on this machine, and say what to do"
NOT_EXPORTED = "model {} has no network yet: `triptych export demo` makes it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none: it looks at everything."""


def run(arguments: argparse.Namespace) -> int:
    running = Instance(STATE).running_pid()
    options = TritonOptions(repositories=(MODEL_REPOSITORY,))
    # A running Triptych holds its own ports, and rightly so.
    look = preflight.problems if running is None else preflight.machine_problems
    found = [*look(options, find_binary()), *not_exported()]
    try:
        sys.stdout.write(f"  {access()}\n")
    except SetupProblem as problem:
        found.append(problem.detail)
    sys.stdout.writelines(f"✗ {problem}\n" for problem in found)
    state = f"Triptych runs as process {running}" if running else "Triptych does not run"
    verdict = f"{len(found)} to mend" if found else "nothing to mend"
    sys.stdout.write(f"{'✗' if found else '✓'} {verdict}; {state}\n")
    return 1 if found else 0


def access() -> str:
    """Who is let in; a problem where nobody would be."""
    # Only now, as in `triptych keys`.
    from orchestrator.keys.door import count_valid_keys, describe_door, refuse_without_keys

    settings = read_settings(None)
    valid_keys = asyncio.run(count_valid_keys(settings))
    refuse_without_keys(settings, valid_keys)
    return describe_door(settings, valid_keys)


def not_exported() -> list[str]:
    networks = (model.name for model in CATALOG if model.backend == "onnxruntime")
    return [NOT_EXPORTED.format(name) for name in networks if not list(MODEL_REPOSITORY.glob(f"{name}/*/model.onnx"))]
