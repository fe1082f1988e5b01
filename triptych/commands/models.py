"""`triptych models`: what is in the catalog, and what a running Triton makes of it."""

import argparse
import http.client
import json
import sys

from modelcore.catalog import CATALOG
from modelcore.contract import ServedModel, Tensor

HELP = "list the served models, their tensors and their state in a running Triton"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--triton-http-port", type=int, default=8000, metavar="PORT", help="default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    states = live_states(arguments.triton_http_port)
    if not states:
        sys.stderr.write(
            f"no Triton answers on port {arguments.triton_http_port} (--triton-http-port chooses another)\n"
        )
    width = max(len(model.name) for model in CATALOG)
    sys.stdout.writelines(f"{describe(model, states, width)}\n" for model in CATALOG)
    for name in sorted(states.keys() - {model.name for model in CATALOG}):
        sys.stdout.write(f"{name:{width}}  {states[name].lower():10}  not of the catalog, such as another family's\n")
    return 0


def live_states(port: int) -> dict[str, str]:
    """Model name -> state of its newest version; empty when no Triton answers there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/v2/repository/index", body="{}")
        index = json.loads(connection.getresponse().read())
    except (OSError, ValueError):
        return {}
    finally:
        connection.close()
    return {entry["name"]: entry.get("state") or "NOT LOADED" for entry in index}


def describe(model: ServedModel, states: dict[str, str], width: int) -> str:
    state = states.get(model.name, "not served").lower()
    return (
        f"{model.name:{width}}  {state:10}  {model.backend:11}  "
        f"{tensors(model.inputs)} -> {tensors(model.outputs)}\n{'':{width}}  {model.about}"
    )


def tensors(group: tuple[Tensor, ...]) -> str:
    return ", ".join(f"{tensor.name} {tensor.data_type} {list(tensor.dims)}" for tensor in group)
