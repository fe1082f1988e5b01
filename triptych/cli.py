"""`triptych COMMAND`: finds the command's module, shows its help, and turns a SetupProblem into one clear line."""

import argparse
import importlib
import os
import sys
from importlib import metadata
from pathlib import Path

from modelcore.errors import SetupProblem


def main(argv: list[str] | None = None) -> int:
    arguments = build_parser().parse_args(argv)
    try:
        return int(importlib.import_module(f"triptych.commands.{arguments.command}").run(arguments))
    except SetupProblem as problem:
        sys.stderr.write(f"triptych: {problem.detail}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read us, such as `head`, has had enough; Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triptych", description="A self-hosted image service on NVIDIA Triton.")
    parser.add_argument("--version", action="version", version=f"triptych {metadata.version('triptych')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in command_names():
        module = importlib.import_module(f"triptych.commands.{name}")
        subparser = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(subparser)
    return parser


def command_names() -> list[str]:
    return sorted(path.stem for path in (Path(__file__).parent / "commands").glob("[a-z]*.py"))


if __name__ == "__main__":
    raise SystemExit(main())
