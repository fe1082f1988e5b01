"""`triptych up`: Triton and the REST service, watched, until Ctrl-C."""

import argparse
import asyncio
import logging
import signal
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from embedded import preflight
from embedded.binary import find_binary, install_binary
from embedded.options import TritonOptions
from embedded.server import TritonServer
from embedded.supervisor import Supervisor
from modelcore.errors import SetupProblem
from modelcore.family import read_family
from orchestrator.settings import PREFIX, Settings
from triptych.instance import Instance
from triptych.project import FAMILIES, MODEL_REPOSITORY, STATE
from triptych.rest_process import RestProcess

HELP = "start Triton and the REST service on this machine and watch over both; Ctrl-C stops them"
TRITON_READY_TIMEOUT_S = 300.0
REST_READY_TIMEOUT_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, metavar="PORT", help=f"of the REST service (default: {PREFIX}PORT, 8080)")
    parser.add_argument("--triton-http-port", type=int, default=8000, metavar="PORT", help="default: %(default)s")
    parser.add_argument("--triton-grpc-port", type=int, default=8001, metavar="PORT", help="default: %(default)s")
    parser.add_argument("--triton-metrics-port", type=int, default=8002, metavar="PORT", help="default: %(default)s")
    parser.add_argument(
        "--state",
        type=Path,
        default=STATE,
        metavar="DIR",
        help="for logs, lock and control socket (default: %(default)s)",
    )
    parser.add_argument(
        "--profile", default="", metavar="NAME", help="model configurations to use; `gpu` on a GPU host"
    )


def run(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    settings = read_settings(arguments)
    check_access(settings, Instance(arguments.state))
    read_family(FAMILIES / settings.family)  # a misspelt name must not serve another family's networks under it
    instance = Instance(arguments.state)
    with instance.claim():
        server = TritonServer(triton_options(arguments), instance.triton_log)
        rest = RestProcess(settings.host, settings.port, rest_environment(settings, instance))
        refuse(problems(server.options, settings))
        # Both end us in order, even where whoever started us had turned Ctrl-C off, as shells do for background jobs.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        try:
            start_triton(server)
            say("starting the REST service")
            rest.start()
            rest.wait_ready(REST_READY_TIMEOUT_S)
            say(summary(server.options, settings, instance, time.monotonic() - started))
            say(f"{painting_line(server.options, settings)}\nCtrl-C stops it.")
            watch(server, instance)
        except KeyboardInterrupt:
            say("stopping")
        finally:
            rest.stop()
            server.stop()
    return 0


def read_settings(arguments: argparse.Namespace) -> Settings:
    given = {"port": arguments.port} if arguments.port is not None else {}
    try:
        return Settings(**given, triton_address=f"127.0.0.1:{arguments.triton_grpc_port}")
    except ValidationError as error:
        first = error.errors()[0]
        name = f"{PREFIX}{'_'.join(map(str, first['loc'])).upper()}: " if first["loc"] else ""
        raise SetupProblem(f"{name}{first['msg'].removeprefix('Value error, ')}") from error


def check_access(settings: Settings, instance: Instance) -> None:
    """Here, before Triton takes its time to load; the REST service looks again."""
    if settings.is_private:
        return
    from orchestrator.keys.door import check_door  # the database takes a second to import

    asyncio.run(check_door(settings.model_copy(update={"state_folder": _state_folder(settings, instance)})))


def triton_options(arguments: argparse.Namespace) -> TritonOptions:
    return TritonOptions(
        repositories=(MODEL_REPOSITORY,),
        http_port=arguments.triton_http_port,
        grpc_port=arguments.triton_grpc_port,
        metrics_port=arguments.triton_metrics_port,
        profile=arguments.profile,
    )


def rest_environment(settings: Settings, instance: Instance) -> dict[str, str]:
    """What the child must know beyond the environment that we share."""
    return {
        f"{PREFIX}PORT": str(settings.port),
        f"{PREFIX}TRITON_ADDRESS": settings.triton_address,
        f"{PREFIX}LOG_FOLDER": str(settings.log_folder or instance.folder),
        f"{PREFIX}SUPERVISOR_SOCKET": str(instance.control_socket),
        f"{PREFIX}FAMILIES_FOLDER": str(FAMILIES),
        f"{PREFIX}STATE_FOLDER": str(_state_folder(settings, instance)),
    }


def _state_folder(settings: Settings, instance: Instance) -> Path:
    """Where --state says; where it says nothing, what the environment does; as `triptych keys` has it."""
    is_in_environment = "state_folder" in settings.model_fields_set
    return settings.state_folder if instance.folder == STATE and is_in_environment else instance.folder.resolve()


def problems(options: TritonOptions, settings: Settings) -> list[str]:
    rest = preflight.port_problems(settings.host, {"REST": settings.port})
    return [*preflight.problems(options, find_binary()), *rest]


def refuse(found: list[str]) -> None:
    if found:
        raise SetupProblem("cannot start:\n  - " + "\n  - ".join(found))


def start_triton(server: TritonServer) -> None:
    install_binary(find_binary(), say)
    say("starting Triton")
    server.start()
    server.wait_ready(TRITON_READY_TIMEOUT_S, lambda model: say(f"  loaded {model}"))


def watch(server: TritonServer, instance: Instance) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    Supervisor(server, instance.control_socket).run()


def summary(options: TritonOptions, settings: Settings, instance: Instance, seconds: float) -> str:
    rest = f"http://{settings.host}:{settings.port}"
    triton = options.local_address
    key = ' -H "Authorization: Bearer $TRIPTYCH_KEY"' if settings.keys_are_needed else ""
    return f"""
Triptych is ready after {seconds:.1f} s

  REST      {rest}   (try {rest}/docs)
  Triton    gRPC {triton}:{options.grpc_port}   HTTP http://{triton}:{options.http_port}
  metrics   {rest}/metrics   http://{triton}:{options.metrics_port}/metrics
  logs      {instance.rest_log}   {instance.triton_log}

  curl -s {rest}/v1/embeddings{key} -H 'Content-Type: application/json' -d '{{"input": "a large red circle"}}'"""


def painting_line(options: TritonOptions, settings: Settings) -> str:
    """Whole, so that it works in any folder and without the environment; only what is not the default is said."""
    if read_family(FAMILIES / settings.family).diffusion is None:
        return ""
    port = "" if options.grpc_port == TritonOptions.grpc_port else f" --triton-grpc-port {options.grpc_port}"
    family = "" if settings.family == "demo" else f" --family {settings.family}"
    return f'  {Path(sys.executable).with_name("triptych")} generate "a large red circle" -o out.png{port}{family}\n'


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
