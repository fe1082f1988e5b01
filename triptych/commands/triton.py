"""`triptych triton`: serve any model repository with the real Triton, without Docker."""

import argparse
import logging
import signal
import sys
from pathlib import Path

from embedded import preflight
from embedded.binary import find_binary, home, install_binary
from embedded.options import LOOPBACK, TritonOptions
from embedded.server import TritonServer
from embedded.supervisor import Supervisor
from modelcore.errors import SetupProblem

HELP = "serve any repository of python and onnxruntime models with the real Triton, without Docker"
_EXPOSED = (
    "Warning: Triton asks nobody for a password, this version (2.51) has known holes, and anyone "
    "who reaches {address} can run, load and unload models"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repository",
        type=Path,
        action="append",
        required=True,
        metavar="DIR",
        help="a model repository; may be given several times",
    )
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME", help="load only these models (default: all)")
    parser.add_argument(
        "--profile", default="", metavar="NAME", help="use <model>/configs/NAME.pbtxt where there is one"
    )
    parser.add_argument("--address", default=LOOPBACK, help="where to listen (default: %(default)s)")
    parser.add_argument("--http-port", type=int, default=8000, metavar="PORT", help="default: %(default)s")
    parser.add_argument("--grpc-port", type=int, default=8001, metavar="PORT", help="default: %(default)s")
    parser.add_argument("--metrics-port", type=int, default=8002, metavar="PORT", help="default: %(default)s")
    parser.add_argument(
        "--log",
        type=Path,
        default=home() / "log" / "triton.log",
        metavar="FILE",
        help="Triton's own log (default: %(default)s)",
    )
    parser.add_argument(
        "--control-socket", type=Path, metavar="FILE", help="answer kill-stub and restart on this Unix socket"
    )
    parser.add_argument(
        "--ready-timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="give up when the models have not loaded by then (default: %(default)s)",
    )
    parser.add_argument(
        "triton_flags",
        nargs="*",
        metavar="FLAG",
        help="after `--`: flags for tritonserver itself, passed on as they are",
    )


def run(arguments: argparse.Namespace) -> int:
    options = options_from(arguments)
    binary = find_binary()
    _refuse(preflight.problems(options, binary))
    if options.address != LOOPBACK:
        _say(_EXPOSED.format(address=options.address))
    install_binary(binary, _say)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    server = TritonServer(options, arguments.log, binary)
    try:
        server.start()
        models = server.wait_ready(arguments.ready_timeout, lambda model: _say(f"loaded {model}"))
        _say(_summary(options, models, arguments.log))
        _supervise(server, arguments.control_socket)
    except KeyboardInterrupt:
        _say("stopping")
    finally:
        server.stop()
    return 0


def options_from(arguments: argparse.Namespace) -> TritonOptions:
    return TritonOptions(
        repositories=tuple(arguments.repository),
        address=arguments.address,
        http_port=arguments.http_port,
        grpc_port=arguments.grpc_port,
        metrics_port=arguments.metrics_port,
        models=tuple(arguments.models),
        profile=arguments.profile,
        extra=tuple(arguments.triton_flags),
    )


def _refuse(problems: list[str]) -> None:
    if problems:
        raise SetupProblem("\n          ".join(problems))


def _supervise(server: TritonServer, control: Path | None) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    Supervisor(server, control).run()


def _summary(options: TritonOptions, models: list[str], log: Path) -> str:
    where = options.local_address
    return "\n".join(
        [
            "Triton is ready",
            f"  HTTP     http://{where}:{options.http_port}",
            f"  gRPC     {where}:{options.grpc_port}",
            f"  metrics  http://{where}:{options.metrics_port}/metrics",
            f"  models   {', '.join(models) or 'none'}",
            f"  log      {log}",
            "Ctrl-C stops it.",
        ]
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
